"""Paraphrases by the course's language model, SmolLM2, in batches."""

import torch
from tqdm.auto import tqdm

from ..assistant import cache, models

SYSTEM = "Rewrite the text in other words. Keep its meaning."
REQUEST = "Text: {text}\n\nThe same in other words:"
MOST_NEW_TOKENS = 64
REPETITION_PENALTY = 1.1  # without it, greedy decoding copies
BATCH_SIZE = 25


def paraphrase(texts, keep=True):
    """One paraphrase of each text, by greedy decoding: a list of strings, of which some may be empty.

    Texts of more than about 100 words are rewritten only in part. keep: read batches that were
    written before from the cache, and add new ones to it.
    """
    batches = [list(texts[i : i + BATCH_SIZE]) for i in range(0, len(texts), BATCH_SIZE)]
    settings = [models.LANGUAGE_MODELS, SYSTEM, REQUEST, MOST_NEW_TOKENS, REPETITION_PENALTY]
    written = []
    for batch in tqdm(batches, "paraphrasing", unit="batch", leave=False, disable=len(batches) < 2):

        def write(batch=batch):
            return _write(models.language_model(), batch)

        written += cache.data("paraphrases", [settings, batch], write) if keep else write()
    return written


@torch.inference_mode()
def _write(lm, texts):
    "What the language model makes of one batch: the first line of each answer."
    tokenizer, device = lm.tokenizer, lm.model.device
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": REQUEST.format(text=text)}],
            tokenize=False, add_generation_prompt=True,
        )
        for text in texts
    ]  # fmt: skip
    rows = [lm.tokens(prompt)[-lm.context + MOST_NEW_TOKENS :] for prompt in prompts]
    width = max(map(len, rows))
    ids = torch.tensor(
        [[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows]
    )  # generation goes on right
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    ends = [tokenizer.eos_token_id, *lm.tokens("\n"), *lm.tokens("\n\n")]  # only the first line counts
    written = lm.model.generate(
        input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=MOST_NEW_TOKENS, do_sample=False,
        repetition_penalty=REPETITION_PENALTY, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=ends,
    )  # fmt: skip
    texts_written = tokenizer.batch_decode(written[:, width:], skip_special_tokens=True)
    return [text.strip().partition("\n")[0].strip() for text in texts_written]
