"""Pictures for the sample images: simple shapes that look enough like a chest, a head or a fan of ultrasound."""

import math
from hashlib import shake_128

SIDE = 128
Picture = bytearray


def draw(modality: str, body_part: str, number: int, images: int) -> Picture:
    """An 8-bit picture of `SIDE` × `SIDE`; `number` of `images` says how far through the body it lies."""
    depth = (number - 0.5) / images
    if modality == "US":
        return _ultrasound(body_part, number)
    if modality == "CR":
        return _radiograph(body_part, number)
    if body_part in ("HEAD", "BRAIN"):
        return _head(depth, bright_fluid=modality == "MR")
    if body_part == "KNEE":
        return _knee(depth)
    return _chest(depth)


def _blank(value: int = 0) -> Picture:
    return bytearray([value]) * (SIDE * SIDE)


def _ellipse(picture: Picture, x: float, y: float, across: float, down: float, value: int) -> None:
    """Fill an ellipse; centre and radii are fractions of the side."""
    for row in range(max(0, int((y - down) * SIDE)), min(SIDE, int((y + down) * SIDE) + 1)):
        reach = 1 - ((row / SIDE - y) / down) ** 2
        if reach > 0:
            half = across * math.sqrt(reach)
            left, right = max(0, int((x - half) * SIDE)), min(SIDE, int((x + half) * SIDE) + 1)
            picture[row * SIDE + left : row * SIDE + right] = bytes([value]) * max(0, right - left)


def _grain(picture: Picture, seed: str, strength: int) -> Picture:
    noise = shake_128(seed.encode()).digest(SIDE * SIDE)
    return bytearray(
        min(255, max(0, value + (grain * strength >> 8) - strength // 2)) if value else 0
        for value, grain in zip(picture, noise, strict=True)
    )


def _chest(depth: float) -> Picture:
    picture = _blank()
    _ellipse(picture, 0.5, 0.5, 0.46, 0.34, 70)
    _ellipse(picture, 0.5, 0.5, 0.43, 0.31, 96)
    lung = 0.10 + 0.08 * math.sin(math.pi * depth)
    for side in (-1, 1):
        _ellipse(picture, 0.5 + side * 0.21, 0.48, lung, 0.24 * (0.7 + 0.3 * math.sin(math.pi * depth)), 18)
        _ellipse(picture, 0.5 + side * 0.38, 0.5, 0.012, 0.1, 200)
    _ellipse(picture, 0.54, 0.42, 0.11 * (0.5 + depth), 0.10, 120)
    _ellipse(picture, 0.5, 0.70, 0.06, 0.06, 215)
    _ellipse(picture, 0.5, 0.70, 0.02, 0.02, 90)
    _ellipse(picture, 0.46, 0.60, 0.03, 0.03, 150)
    return _grain(picture, f"chest{depth}", 14)


def _head(depth: float, *, bright_fluid: bool) -> Picture:
    size = 0.28 + 0.12 * math.sin(math.pi * depth)
    skull, brain, fluid = (60, 110, 230) if bright_fluid else (245, 105, 45)
    picture = _blank()
    _ellipse(picture, 0.5, 0.5, size, size * 1.2, skull)
    _ellipse(picture, 0.5, 0.5, size * 0.91, size * 1.11, fluid)
    _ellipse(picture, 0.5, 0.5, size * 0.87, size * 1.07, brain)
    for side in (-1, 1):
        _ellipse(picture, 0.5 + side * size * 0.2, 0.47, size * 0.09, size * 0.3, fluid)
        _ellipse(picture, 0.5 + side * size * 0.5, 0.5, size * 0.2, size * 0.5, brain + 18)
    _ellipse(picture, 0.5, 0.5, 0.004, size * 1.05, brain - 25)
    return _grain(picture, f"head{depth}", 12)


def _knee(depth: float) -> Picture:
    picture = _blank()
    _ellipse(picture, 0.5, 0.5, 0.32, 0.6, 75)
    _ellipse(picture, 0.52, 0.24, 0.17, 0.22, 190)
    _ellipse(picture, 0.50, 0.80, 0.18, 0.27, 185)
    _ellipse(picture, 0.27 + 0.02 * depth, 0.36, 0.05, 0.11, 175)
    _ellipse(picture, 0.5, 0.49, 0.16, 0.025, 235)
    return _grain(picture, f"knee{depth}", 14)


def _radiograph(body_part: str, number: int) -> Picture:
    picture = _blank(40)
    if body_part == "CHEST":
        _ellipse(picture, 0.5, 0.55, 0.44, 0.5, 150)
        for side in (-1, 1) if number == 1 else (0,):
            _ellipse(picture, 0.5 + side * 0.2, 0.48, 0.15, 0.33, 62)
        for rib in range(7):
            for side in (-1, 1):
                for thickness in range(2):
                    at = 0.24 + rib * 0.075 + thickness / SIDE
                    _arc(picture, 0.5 + side * 0.2, at, 0.17, side, 28)
        _ellipse(picture, 0.54, 0.6, 0.13, 0.15, 185)
        _ellipse(picture, 0.5, 0.5, 0.03, 0.5, 200)
    else:
        _ellipse(picture, 0.5, 0.25, 0.1, 0.35, 190)
        _ellipse(picture, 0.55, 0.66, 0.16, 0.12, 205)
        _ellipse(picture, 0.38 + 0.06 * number, 0.8, 0.27, 0.08, 180)
    return _grain(picture, f"radiograph{body_part}{number}", 16)


def _arc(picture: Picture, x: float, y: float, across: float, side: int, more: int) -> None:
    for step in range(SIDE // 2):
        along = step / (SIDE / 2) * 2 - 1
        column, row = int((x + along * across) * SIDE), int((y + side * along * 0.04 + 0.05 * along * along) * SIDE)
        if 0 <= column < SIDE and 0 <= row < SIDE:
            place = row * SIDE + column
            picture[place] = min(255, picture[place] + more)


def _ultrasound(body_part: str, number: int) -> Picture:
    """A sector of speckle with a dark, round structure in it."""
    speckle = shake_128(f"ultrasound{body_part}{number}".encode()).digest(SIDE * SIDE)
    picture = _blank()
    centre = (SIDE * (0.44 + 0.04 * number), SIDE * 0.55)
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = column - SIDE / 2, row + SIDE * 0.12
            reach = math.hypot(x, y)
            if abs(math.atan2(x, y)) < 0.62 and SIDE * 0.16 < reach < SIDE * 1.08:
                dark = math.hypot(column - centre[0], (row - centre[1]) * 1.3) < SIDE * 0.13
                value = speckle[row * SIDE + column] * (1 if dark else 4) // 6
                picture[row * SIDE + column] = min(255, value + (6 if dark else int(60 * (1 - reach / SIDE / 1.2))))
    return picture
