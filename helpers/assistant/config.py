"""`Config`: every knob that the guide names, in one frozen dataclass, each checked when set."""

from dataclasses import dataclass, fields

from .retrieval import METHODS


@dataclass(frozen=True)
class Config:
    """The assistant's settings. A wrong value raises a ValueError, a wrong type a TypeError, that names its knob.

    Change some of them with `dataclasses.replace(config, top_k=5)`. None of them trains
    anything: the weights of both models are the same under every `Config`.
    """

    # what the language model does with its logits
    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0
    max_tokens: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    # how texts become vectors
    batch_size: int = 32
    max_seq_length: int = 256  # word pieces that MiniLM reads
    chunk_size: int = 256  # word pieces of an indexed piece of text
    overlap: int = 50  # word pieces that neighbouring pieces share
    # what is looked up
    method: str = "fused"
    top_k: int = 1  # documents that go into the prompt
    similarity_threshold: float = 0.0  # cosine to the question, below which a document is left out
    # which tool answers
    keyword_threshold: int = 3  # keywords that send a question to the signature lookup; 4 turns it off
    tool_timeout: float = 1.0  # seconds

    def __post_init__(self):
        for field in fields(self):
            value, expected = getattr(self, field.name), field.type
            allowed = (int, float) if expected is float else expected
            if isinstance(value, bool) or not isinstance(value, allowed):
                raise TypeError(f"{field.name} must be {expected.__name__}, got {value!r}")
        for name, low, high in RANGES:
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {getattr(self, name)}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.chunk_size > self.max_seq_length:
            raise ValueError(
                f"chunk_size ({self.chunk_size}) must not exceed max_seq_length ({self.max_seq_length}): "
                "the encoder would cut every piece"
            )
        if self.overlap >= self.chunk_size // 2:
            raise ValueError(f"overlap must be under half of chunk_size ({self.chunk_size}), got {self.overlap}")


RANGES = (
    ("temperature", 0, 2),
    ("max_tokens", 1, 8192),
    ("frequency_penalty", -2, 2),
    ("presence_penalty", -2, 2),
    ("batch_size", 1, 4096),
    ("max_seq_length", 16, 512),
    ("chunk_size", 16, 512),
    ("overlap", 0, 511),
    ("top_k", 1, 100),
    ("similarity_threshold", -1, 1),
    ("keyword_threshold", 1, 4),
    ("tool_timeout", 0, 3600),
)

# The guide's "current settings". It gives MiniLM 512 tokens; the model was released with 256.
GUIDE = Config(
    temperature=0.7,
    top_p=0.9,
    max_tokens=2000,
    max_seq_length=512,
    chunk_size=512,
    method="dense",
    top_k=3,
    similarity_threshold=0.3,
)
