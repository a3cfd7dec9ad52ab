"""Modality codes and what they mean: CID 29 and CID 33 of PS3.16, and those retired that old studies carry."""

from functools import lru_cache

from gateway.imaging.coding_schemes import DCM
from gateway.model import Coding

MEANINGS: dict[str, str] = {
    "AR": "Autorefraction",
    "AS": "Angioscopy",
    "ASMT": "Content Assessment Result",
    "AU": "Basic Voice Audio",
    "BDUS": "Ultrasound Bone Densitometry",
    "BI": "Biomagnetic Imaging",
    "BMD": "Bone Mineral Densitometry",
    "CD": "Color flow Doppler",
    "CF": "Cinefluorography",
    "CFM": "Confocal Microscopy",
    "CP": "Culposcopy",
    "CR": "Computed Radiography",
    "CS": "Cystoscopy",
    "CT": "Computed Tomography",
    "CTPROTOCOL": "CT Protocol",
    "DD": "Duplex Doppler",
    "DF": "Digital fluoroscopy",
    "DG": "Diaphanography",
    "DM": "Digital microscopy",
    "DMS": "Dermoscopy",
    "DOC": "Document",
    "DS": "Digital Subtraction Angiography",
    "DX": "Digital Radiography",
    "EC": "Echocardiography",
    "ECG": "Electrocardiography",
    "EEG": "Electroencephalography",
    "EMG": "Electromyography",
    "EOG": "Electrooculography",
    "EPS": "Cardiac Electrophysiology",
    "ES": "Endoscopy",
    "FA": "Fluorescein angiography",
    "FID": "Spatial Fiducials",
    "FS": "Fundoscopy",
    "GM": "General Microscopy",
    "HC": "Hard Copy",
    "HD": "Hemodynamic Waveform",
    "IO": "Intra-oral Radiography",
    "IOL": "Intraocular Lens Calculation",
    "IVOCT": "Intravascular Optical Coherence Tomography",
    "IVUS": "Intravascular Ultrasound",
    "KER": "Keratometry",
    "KO": "Key Object Selection",
    "LEN": "Lensometry",
    "LP": "Laparoscopy",
    "LS": "Laser Scan",
    "M3D": "Model for 3D Manufacturing",
    "MA": "Magnetic resonance angiography",
    "MG": "Mammography",
    "MR": "Magnetic Resonance",
    "MS": "Magnetic resonance spectroscopy",
    "NM": "Nuclear Medicine",
    "OAM": "Ophthalmic Axial Measurements",
    "OCT": "Optical Coherence Tomography",
    "OP": "Ophthalmic Photography",
    "OPM": "Ophthalmic Mapping",
    "OPR": "Ophthalmic Refraction",
    "OPT": "Ophthalmic Tomography",
    "OPTBSV": "Ophthalmic Tomography B-scan Volume Analysis",
    "OPTENF": "Ophthalmic Tomography En Face",
    "OPV": "Ophthalmic Visual Field",
    "OSS": "Optical Surface Scanner",
    "OT": "Other",
    "PA": "Photoacoustic",
    "PLAN": "Plan",
    "POS": "Position Sensor",
    "PR": "Presentation State",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-Ray",
    "REG": "Registration",
    "RESP": "Respiratory Waveform",
    "RF": "Radiofluoroscopy",
    "RG": "Radiographic imaging",
    "RTDOSE": "RT Dose",
    "RTIMAGE": "RT Image",
    "RTPLAN": "RT Plan",
    "RTRECORD": "RT Treatment Record",
    "RTSTRUCT": "RT Structure Set",
    "RWV": "Real World Value Map",
    "SEG": "Segmentation",
    "SM": "Slide Microscopy",
    "SMR": "Stereometric Relationship",
    "SR": "Structured Report Document",
    "SRF": "Subjective Refraction",
    "ST": "Single-photon emission computed tomography",
    "STAIN": "Automated Slide Stainer",
    "TEXTUREMAP": "Texture Map",
    "TG": "Thermography",
    "US": "Ultrasound",
    "VA": "Visual Acuity",
    "VF": "Videofluorography",
    "XA": "X-Ray Angiography",
    "XC": "External-camera Photography",
}

UNKNOWN = Coding("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown", "Unknown")
"""Where nobody tells the modality: FHIR wants one all the same, and "Other" (OT) would be a claim."""


@lru_cache(maxsize=1024)
def modality_coding(code: str) -> Coding:
    """The coding of a modality. A code DICOM doesn't define is given without a system."""
    meaning = MEANINGS.get(code)
    return Coding(DCM, code, meaning) if meaning else Coding("", code)


@lru_cache(maxsize=1024)
def modality_codings(codes: tuple[str, ...]) -> tuple[Coding, ...]:
    """The codings of a study's or series' modalities, never empty."""
    return tuple(modality_coding(code) for code in codes) or (UNKNOWN,)
