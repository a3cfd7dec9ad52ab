"""The tree is RFC 6962's: its roots are the published ones, its proofs show what is so and nothing else (T89)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    folded,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    root,
    root_of,
)

ENTRIES = [
    bytes.fromhex(text)
    for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def _subtree(leaves: list[bytes]):  # type: ignore[no-untyped-def]
    return lambda level, place: folded(leaves[place << level : (place + 1) << level])


SUBTREE = _subtree(LEAVES)


@pytest.mark.parametrize("size", range(9))
def test_t089_the_roots_are_those_of_rfc_6962(size: int) -> None:
    """By appending, by folding, and from subtrees alike."""
    grown = Frontier()
    for leaf in LEAVES[:size]:
        grown.append(leaf)

    assert grown.root() == root_of(LEAVES[:size]) == root(size, SUBTREE) == ROOTS[size]
    assert grown.size == size


def test_t089_the_proofs_of_rfc_6962() -> None:
    """Known inclusion and consistency paths of the reference tree of eight (RFC 6962 test data)."""
    assert inclusion_proof(0, 1, SUBTREE) == []
    assert inclusion_proof(0, 8, SUBTREE) == [LEAVES[1], folded(LEAVES[2:4]), folded(LEAVES[4:8])]
    assert inclusion_proof(5, 8, SUBTREE) == [LEAVES[4], folded(LEAVES[6:8]), folded(LEAVES[:4])]
    assert inclusion_proof(2, 3, SUBTREE) == [folded(LEAVES[:2])]
    assert consistency_proof(1, 8, SUBTREE) == [LEAVES[1], folded(LEAVES[2:4]), folded(LEAVES[4:8])]
    assert consistency_proof(6, 8, SUBTREE) == [folded(LEAVES[4:6]), folded(LEAVES[6:8]), folded(LEAVES[:4])]
    assert consistency_proof(2, 5, SUBTREE) == [folded(LEAVES[2:4]), LEAVES[4]]


def test_t089_every_leaf_is_shown_to_be_included_and_nothing_else_is() -> None:
    """For every size up to eight: the leaf at its place, and no other leaf, place, size, root or path."""
    for size in range(1, 9):
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREE)
            assert is_included(LEAVES[index], index, size, proof, ROOTS[size])
            assert not is_included(LEAVES[index - 1] if index else b"x" * 32, index, size, proof, ROOTS[size])
            assert not is_included(LEAVES[index], index, size, proof, ROOTS[size - 1])
            assert not is_included(LEAVES[index], index, size, [*proof, LEAVES[0]], ROOTS[size])
            assert not is_included(LEAVES[index], size, size, proof, ROOTS[size])
            if proof:
                assert not is_included(LEAVES[index], index, size, proof[:-1], ROOTS[size])
                assert not is_included(LEAVES[index], index, size, [*proof[:-1], b"\x00" * 32], ROOTS[size])
            others = [other for other in range(size) if other != index]
            assert not any(is_included(LEAVES[index], other, size, proof, ROOTS[size]) for other in others)


def test_t089_every_tree_is_shown_to_begin_as_every_smaller_one_and_no_other() -> None:
    """For every pair of sizes up to eight; a changed path, root or size shows nothing."""
    for new in range(9):
        for old in range(new + 1):
            proof = consistency_proof(old, new, SUBTREE)
            assert is_consistent(old, new, proof, ROOTS[old], ROOTS[new]), (old, new)
            assert not is_consistent(old, new, proof, b"\x01" * 32, ROOTS[new])
            if old:
                assert not is_consistent(old, new, proof, ROOTS[old], b"\x01" * 32)
            assert not is_consistent(old, new, [*proof, LEAVES[0]], ROOTS[old], ROOTS[new])
            for place in range(len(proof)):
                assert not is_consistent(old, new, proof[:place] + proof[place + 1 :], ROOTS[old], ROOTS[new])
                wrong = [*proof[:place], b"\x02" * 32, *proof[place + 1 :]]
                assert not is_consistent(old, new, wrong, ROOTS[old], ROOTS[new])
    assert not is_consistent(5, 3, [], ROOTS[5], ROOTS[3])
    assert not is_consistent(-1, 3, [], ROOTS[0], ROOTS[3])


def test_t089_what_is_out_of_range_is_refused() -> None:
    """No proof is made up."""
    for index, size in ((1, 1), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_proof(index, size, SUBTREE)
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="larger"):
            consistency_proof(old, new, SUBTREE)


def test_a_leaf_can_not_pass_for_a_node() -> None:
    """Their first bytes differ: two hashes as an entry are no inner node."""
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])
    assert EMPTY_ROOT not in LEAVES


@given(st.integers(1, 300), st.data())
def test_larger_trees_hold_to_the_same(size: int, data: st.DataObject) -> None:
    """Any size, any leaf, any older size."""
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    subtree = _subtree(leaves)
    whole = root(size, subtree)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))

    assert whole == root_of(leaves)
    assert is_included(leaves[index], index, size, inclusion_proof(index, size, subtree), whole)
    assert is_consistent(old, size, consistency_proof(old, size, subtree), root(old, subtree), whole)
