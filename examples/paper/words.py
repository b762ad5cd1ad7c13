"""What the paper shows in each of its figures and tables, and over which pictures ours are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Of one part: ``paper``: what the paper shows; ``here``: over what ours is; ``command``: what makes the like."""

    title: str
    paper: str
    here: str
    command: str


TABLES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "vggcnn": {
        "c1_1": (3, 1), "c1_2": (5, 1), "p1": (6, 2), "c2_1": (10, 2), "c2_2": (14, 2), "p2": (16, 4),
        "c3_1": (24, 4), "c3_2": (32, 4), "c3_3": (40, 4), "p3": (44, 8), "c4_1": (60, 8), "c4_2": (76, 8),
        "c4_3": (92, 8), "p4": (100, 16), "c5_1": (132, 16), "c5_2": (164, 16), "c5_3": (196, 16), "p5": (212, 32),
    },
    "alexcnn": {
        "c1": (11, 4), "p1": (15, 8), "c2": (47, 8), "p2": (55, 16), "c3": (87, 16), "c4": (119, 16),
        "c5": (151, 16), "p5": (167, 32),
    },
}  # fmt: skip  # the paper's Tables 1 and 2: size and stride of each receptive field

PICTURES: Mapping[str, str] = {
    "photographs": "{pictures:,} crops, at several scales, of {classes} photographs of scikit-image and of Debian's "
    "lomiri-wallpapers-16.04, through VGG-16 and AlexNet with ImageNet's weights, without fully-connected layers",
    "objects": "{pictures:,} pictures of cut-out objects of {classes} kinds over photographs that have nothing to do "
    "with them, through the same two",
    "clothes": "{pictures:,} test pictures of Fashion-MNIST, through VGGCNN and AlexCNN at a quarter of the "
    "paper's width, with all layers, trained on its training set",
    "stamps": "{pictures:,} pictures, 224 by 224, of cut-out objects of {classes} classes over photographs, through "
    "VGGCNN and AlexCNN at a quarter of the paper's width, with all layers, trained on other objects of these classes "
    "over other photographs",
}

ABOUT: Mapping[str, About] = {
    "tables": About(
        "Fig. 2, Tables 1 and 2: the two networks",
        "The layers of VGGCNN and AlexCNN, and the size and stride of each receptive field in pixels.",
        "worked out from the networks as they are built; no picture is needed.",
        "layerscope layers vggcnn",
    ),
    "errors": About(
        "Section 3: error rates",
        "Top-1 error over ILSVRC2012's validation set, single centre view: VGGCNN 29.5 %, AlexCNN 42.6 %.",
        "the {all_clothes} test pictures of Fashion-MNIST, and VGGCNN and AlexCNN at a quarter of the paper's width, "
        "trained on its training set. ImageNet's validation set and the whole weights of the two networks are in no "
        "package registry.",
        "layerscope evaluate IMAGES --labels folders -n vggcnn -w FILE -n alexcnn -w FILE --out OUT",
    ),
    "stamps": About(
        "Section 3, at the paper's size: trained on stamps",
        "The error rates, sparsity and background of the two networks, at 224 by 224 pixels.",
        "{stamps}; the errors are of the stamps of all four folds, each of which was left out once.",
        "python examples/stamps/folds.py FOLDER vggcnn alexcnn, and examples/stamps/report.py FOLDER",
    ),
    "figure1": About(
        "Fig. 1: external and internal behaviour",
        "A drawing of the idea. Outside, a network names the class of a picture. Inside, each layer is a "
        "space in which patches lie, and keeps some of what is to be seen.",
        "one test picture of Fashion-MNIST in VGGCNN: among the patches of other pictures, and what is kept of it.",
        "layerscope space place STUDY PICTURE --out OUT",
    ),
    "figure3": About(
        "Fig. 3: representation spaces",
        "The patches of c5_3 and c4_1 by t-SNE, where every place shows the nearest patch; regions of it, "
        "patches from them, and the filters that answer most. In c5_3 neighbours are alike in meaning: cars, "
        "insects, faces of dogs. In c4_1 they are alike in texture or simple shape: oblique lines and arcs, "
        "fur, water.",
        "{photographs}; {objects}; {clothes}. A class is a photograph, a kind of object, a kind of clothes. "
        "Spaces are those of the deeper network of each two.",
        "layerscope space make STUDY --layers c4_1,c5_3",
    ),
    "figure4": About(
        "Fig. 4: what layers keep",
        "Five pictures, the reconstruction of every second convolution of VGGCNN, and of fc8. Unrelated "
        "content fades from left to right; what the last column keeps is most discriminative.",
        "five photographs of scikit-image in VGG-16, whose weights end before fc6 here; and five test pictures of "
        "Fashion-MNIST in VGGCNN, which has fc8.",
        "layerscope reconstruct PICTURES -n vgg16 -w imagenet-trunk --layers even --out OUT",
    ),
    "figure5": About(
        "Fig. 5: the same pictures in both networks",
        "Four pictures, a row for each network: the input, reconstructions of its layers, its five most "
        "probable classes. AlexCNN keeps more unrelated background in its last convolution, which disturbs "
        "its prediction.",
        "four photographs, which were named; and the four test pictures of Fashion-MNIST of which the trained "
        "pair says the most different things.",
        "layerscope compare STUDY --part rows --out OUT",
    ),
    "background": About(
        "Fig. 4 and 5, measured: unrelated background",
        "That it fades from layer to layer, and is removed better by the deeper network, is said of the "
        "figures; it is not measured.",
        "{objects}, {masked} of them with a mask of the object. The controls: re-initialised weights, and the "
        "mask of another picture.",
        "layerscope compare STUDY --part background --masks MASKS --out OUT",
    ),
    "figure6": About(
        "Fig. 6: sparsity",
        "The share of zeros among the activations of each convolution and max-pool, over ILSVRC2012's "
        "validation set. It rises from low to high layers, falls at each max-pool, and is higher in VGGCNN's "
        "high layers than in AlexCNN's.",
        "{photographs}; {clothes}. The control: networks built the same way with random weights, over some of "
        "the pictures.",
        "layerscope compare STUDY --part sparsity --out OUT",
    ),
    "figure7": About(
        "Fig. 7: filters",
        "Filters of VGGCNN from c1_1 to c5_3, each by its strongest patches and their reconstructions.",
        "the first {filters} filters of each convolution of VGG-16 and of VGGCNN, chosen by nothing else, and those "
        "that Fig. 3 shows; over {photographs}; {clothes}.",
        "layerscope filters STUDY --channels 0-7",
    ),
}
