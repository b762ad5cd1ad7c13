"""What a network sees of a picture: all of it resized, and the centre cut out."""

from PIL import Image

from layerscope.network.preprocessing import Preprocessing


def resized_and_cropped(preprocessing: Preprocessing, picture: Image.Image) -> Image.Image:
    """As torchvision's resize and centre crop, columns resized first: Pillow 13 chooses the order by the shape."""
    width, height = picture.size
    covering = max(preprocessing.width / width, preprocessing.height / height)
    scale = max(covering, (preprocessing.resize or 0) / min(width, height))
    across = max(preprocessing.width, int(width * scale + 1e-9))
    down = max(preprocessing.height, int(height * scale + 1e-9))
    name = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    kind = name[preprocessing.interpolation]
    resized = picture.resize((across, height), kind).resize((across, down), kind)
    left, top = round((across - preprocessing.width) / 2), round((down - preprocessing.height) / 2)
    return resized.crop((left, top, left + preprocessing.width, top + preprocessing.height))
