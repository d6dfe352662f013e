"""The catalogue of studies: one row for each, in the order of the report.

The rest of the library finds the parts of a study by its name:

- `jaxnets.studies.NAME` has its arms and runs them.
- `jaxnets.report.sections.NAME` draws its section of the report.
- `jaxnets.gradflow.diagnosis.studies.NAME` judges its records, if it has verdicts.
"""

from typing import Literal, NamedTuple


SCALES = ("smoke", "laptop", "hour", "accelerator")
DATASETS = ("digits", "mnist", "cifar10")
StudyName = Literal[
    "depth",
    "time",
    "saturation",
    "overfitting",
    "theory",
    "rate",
    "extreme",
    "architecture",
]


class Study(NamedTuple):
    """What the library knows of a study outside its own modules.

    Attributes:
        name: Its name on the command line, in records, and of its modules.
        title: Heading in the report.
        subject: What it contrasts, after the title.
        arms: Its arms in a sentence, as the help of the command line shows it.
        by_default: Whether `jaxnets contrast` runs it without being told its name. All
            such studies together take about two minutes at laptop scale.
        images: Whether it needs a data set of images.
        judged: Whether it has verdicts.
        families: The families of its arms, in the order that fixes their colours.
        contrast_unit: Unit of the number of a verdict that contrasts two families.
    """

    name: StudyName | Literal["model"]
    title: str
    subject: str
    arms: str
    by_default: bool = True
    images: bool = True
    judged: bool = True
    families: tuple[str, ...] = ()
    contrast_unit: str = ""


STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study(
            "depth",
            "Depth",
            "plain and residual networks",
            "plain and residual networks, with and without BatchNorm, at several "
            "depths.",
            families=("plain", "residual", "plain + BatchNorm", "residual + BatchNorm"),
            contrast_unit="powers of ten",
        ),
        Study(
            "time",
            "Time",
            "recurrent and gated networks",
            "RNN, GRU and LSTM on tasks that need a long memory, at several lengths.",
            images=False,
            families=("RNN", "GRU", "LSTM"),
            contrast_unit="powers of ten per 100 steps",
        ),
        Study(
            "saturation",
            "Saturation",
            "activations and gain",
            "sigmoid, tanh and ReLU at several gains.",
            families=("sigmoid", "tanh", "ReLU"),
        ),
        Study(
            "overfitting",
            "Overfitting",
            "dropout off and on",
            "networks with and without dropout on few examples.",
            families=("no dropout", "dropout 0.5"),
            contrast_unit="nats",
        ),
        Study(
            "theory",
            "Theory",
            "ten claims, measured",
            "ten claims of the literature, measured without training.",
            by_default=False,
            images=False,
            judged=False,
        ),
        Study(
            "rate",
            "Rate",
            "the largest stable learning rate against depth",
            "plain networks, and residual ones with and without a branch scale, at "
            "several depths.",
            by_default=False,
            families=("plain", "residual", "residual, scaled"),
            contrast_unit="powers of the depth",
        ),
        Study(
            "extreme",
            "Extreme depth",
            "thousands of layers without shortcuts",
            "plain tanh convolutions at the critical gain and off it: the gradient at "
            "10,000 layers, and training.",
            by_default=False,
            families=("critical", "gain 10 % too small", "gain 10 % too large"),
        ),
        Study(
            "architecture",
            "Architecture",
            "which network suits which data",
            "dense, convolutional and recurrent networks of equal size on digits, "
            "pixel sequences, shuffled pixels and the adding problem.",
            by_default=False,
            families=("dense", "CNN", "RNN"),
            contrast_unit="percentage points",
        ),
    )
}
# A network of the user's own, which `jaxnets check` measures, is no study of ours, but
# has records and a section of the report as the studies have.
MODEL = Study(
    "model",
    "Your model",
    "where its gradient goes",
    "a network of your own.",
    by_default=False,
    images=False,
    judged=False,
)
SECTIONS: dict[str, Study] = {MODEL.name: MODEL, **STUDIES}
# What `jaxnets contrast` runs by default.
DEFAULT_STUDIES = tuple(name for name, study in STUDIES.items() if study.by_default)
# The tasks of `jaxnets train`; `jaxnets.tasks.NAME` has a `TASK` for each.
TASKS = {
    "characters": "the next character of a text",
    "images": "the class of an image",
    "dna": "the class of a DNA sequence",
    "music": "the next character of a tune in ABC notation",
    "sketch": "the next point of a drawing",
    "sentiment": "whether a sentence is positive",
    "speech": "the words that are spoken in a sound",
    "translation": "sentences of one language in another",
    "captions": "which digits are where in a picture, in words",
    "adding": "the sum of two marked numbers in a long sequence",
}
# What `jaxnets sample` prints for a run of each task that has samples.
SAMPLES = {
    "characters": "a text that begins with --prompt.",
    "music": "a tune in ABC notation that begins with --prompt; --out gets it as a "
    "file, and as MIDI.",
    "sketch": "a drawing in SVG that goes on after the strokes of --prompt; --out gets "
    "it as a file.",
    "sentiment": "the probability that the sentence of --prompt is praise.",
    "speech": "the words in the wav file that --prompt names.",
    "translation": "translations of the sentence of --prompt.",
}
SAMPLES_IN_FILES = ("music", "sketch")
# The tasks of the study of time, as its report and its verdicts name them.
MEMORY_TASKS = {"adding": "adding", "copying": "copying", "digits": "digits by pixel"}


def memory_task(arm: str) -> str:
    """Return the task of an arm of the study of time, by the name of the arm.

    Example:
        >>> memory_task("gru-copying-1000"), memory_task("gru-1000")
        ('copying', 'adding')
    """
    return next((name for name in MEMORY_TASKS if f"-{name}-" in arm), "adding")
