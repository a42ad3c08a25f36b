#!/usr/bin/env python3
"""CLIP's tokens by transformers, for the tests of src/model/text.rs.

  golden_tokens.py                 makes src/model/golden/tokenizer.json and tokens.json: a small vocabulary of our own
                                   (made from scripts/captions.txt) in the form of CLIP's, and the captions' numbers by it
  golden_tokens.py --real DIR      puts CLIP's own tokenizer.json into DIR, built from the list of merges in open_clip's
                                   wheel and checked against the sha256 of the hub's file, with tokens.json of 200
                                   captions; then, with TSNE_GRID_TOKENS=DIR:
                                   cargo test --release --lib -- --ignored tokens_of_the_real_vocabulary

Needs transformers; with --real also pip and a package index.
"""
import gzip, hashlib, json, pathlib, re, subprocess, sys, tempfile, zipfile
from transformers import CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHA256 = "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842"
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def alphabet():
    """The characters that stand for the 256 bytes: printable ones for themselves, the others from 256 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def file(merges):
    """tokenizer.json with these merges, in the words and the layout of the hub's."""
    signs = list(alphabet().values())
    vocab = {token: i for i, token in enumerate(signs + [s + "</w>" for s in signs] + ["".join(m.split()) for m in merges] + SPECIAL)}
    token = lambda content, normalized: {"id": vocab[content], "special": True, "content": content, "single_word": False,
                                         "lstrip": False, "rstrip": False, "normalized": normalized}
    words = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    bytes_ = lambda prefix: {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True}
    whole = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [token(SPECIAL[0], True), token(SPECIAL[1], False)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": True}, bytes_(False)]},
        "post_processor": {"type": "RobertaProcessing", "sep": [SPECIAL[1], vocab[SPECIAL[1]]], "cls": [SPECIAL[0], vocab[SPECIAL[0]]],
                           "trim_offsets": False, "add_prefix_space": False},
        "decoder": bytes_(True),
        "model": {"type": "BPE", "dropout": None, "unk_token": SPECIAL[1], "continuing_subword_prefix": "",
                  "end_of_word_suffix": "</w>", "fuse_unk": False, "vocab": vocab, "merges": merges},
    }
    return json.dumps(whole, ensure_ascii=False, indent=2), vocab


def learned(captions, count):
    """The `count` most frequent pairs, one after the other."""
    signs = alphabet()
    words = [[signs[b] for b in w.encode()] for c in captions for w in re.findall(r"\w+|[^\w\s]+", c.lower())]
    words = [w[:-1] + [w[-1] + "</w>"] for w in words]
    merges = []
    for _ in range(count):
        pairs = {}
        for w in words:
            for pair in zip(w, w[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        best = max(sorted(pairs), key=pairs.get)
        merges.append(" ".join(best))
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == best:
                    w[i:i + 2] = [w[i] + w[i + 1]]
                i += 1
    return merges


def numbers(captions, merges, vocab):
    """The captions' token numbers by transformers, cut at 77."""
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[tuple(m.split()) for m in merges])
    return [[caption, tokenizer(caption, truncation=True, max_length=77).input_ids] for caption in captions]


captions = (ROOT / "scripts/captions.txt").read_text().splitlines()
if sys.argv[1:2] == ["--real"]:
    out = pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "open_clip_torch==3.3.0"], check=True)
        wheel = zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl")))
        merges = gzip.decompress(wheel.read("open_clip/bpe_simple_vocab_16e6.txt.gz")).decode().split("\n")[1:48895]
    tags = [f"#{c.replace(' ', '')} 2024 👩‍👩‍👧🇩🇪" for c in captions[::2]]
    long = [f"  {c}\t\n« {c} »  " * 5 for c in captions[1::2]]
    captions = (captions + [c.upper() + " !!!" for c in captions] + tags + long)[:200]
else:
    out = ROOT / "src/model/golden"
    merges = learned(captions, 300)
text, vocab = file(merges)
if sys.argv[1:2] == ["--real"]:
    found = hashlib.sha256(text.encode()).hexdigest()
    assert found == SHA256, f"this vocabulary is not the hub's: {found}"
out.mkdir(parents=True, exist_ok=True)
(out / "tokenizer.json").write_text(text)
(out / "tokens.json").write_text(json.dumps(numbers(captions, merges, vocab), ensure_ascii=False))
print(f"{out}: {len(captions)} captions")
