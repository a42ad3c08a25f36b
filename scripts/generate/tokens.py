#!/usr/bin/env python3
"""Token numbers of CLIP and SigLIP 2 by transformers, for the tests of src/model/text.rs.

    scripts/generate/tokens.py              writes src/model/golden/: tokenizer.json and tokens.json, a small vocabulary
                                            in the form of CLIP's (made from scripts/generate/captions.txt) and the
                                            token numbers of the captions; gemma.json and gemma_tokens.json, the same in
                                            the form of SigLIP 2's, which is Gemma's
    scripts/generate/tokens.py --real DIR   writes CLIP's own tokenizer.json to DIR, built from the list of merges in
                                            open_clip's wheel and checked against the sha256 of the hub's file, and
                                            tokens.json of 200 captions. Then, with TSNE_GRID_TOKENS=DIR:
                                            cargo test --release --lib -- --ignored tokens_of_the_real_vocabulary

Needs transformers; --real also needs pip and a package index.
"""
import gzip, hashlib, json, pathlib, re, subprocess, sys, tempfile, zipfile
from tokenizers import processors
from transformers import CLIPTokenizer, Siglip2Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHA256 = "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842"
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def alphabet():
    """The characters that represent the 256 bytes: printable ones represent themselves, the others are from 256 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def file(merges):
    """tokenizer.json with these merges, in the layout of the hub's file; and its vocabulary."""
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


def byte_pairs(words, count, may_join=lambda first, second: True):
    """Yields `count` merges by byte pair encoding: each joins the pair that is most frequent after the ones before it."""
    for _ in range(count):
        pairs = {}
        for w in words:
            for pair in zip(w, w[1:]):
                if may_join(*pair):
                    pairs[pair] = pairs.get(pair, 0) + 1
        best = max(sorted(pairs), key=pairs.get)
        yield best
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == best:
                    w[i:i + 2] = [w[i] + w[i + 1]]
                i += 1


def learned(captions, count):
    """`count` merges of the captions' words."""
    signs = alphabet()
    words = [[signs[b] for b in w.encode()] for c in captions for w in re.findall(r"\w+|[^\w\s]+", c.lower())]
    words = [w[:-1] + [w[-1] + "</w>"] for w in words]
    return [" ".join(best) for best in byte_pairs(words, count)]


def numbers(captions, merges, vocab):
    """The captions' token numbers by transformers, truncated to 77."""
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[tuple(m.split()) for m in merges])
    return [[caption, tokenizer(caption, truncation=True, max_length=77).input_ids] for caption in captions]


def gemma(captions, count):
    """A vocabulary in the form of Gemma's: spaces are characters, unknown characters become bytes; merges as above."""
    words = [list(word) for c in captions for word in re.findall(r"[^▁]*▁|[^▁]+", c.lower().replace(" ", "▁"))]
    # Rare characters are omitted, so that some captions need bytes.
    signs = sorted({sign for word in words for sign in word if sum(w.count(sign) for w in words) > 2})
    tokens, merges = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{b:02X}>" for b in range(256)] + signs, []
    for best in byte_pairs(words, count, lambda first, second: first in tokens and second in tokens):
        merges.append(best)
        tokens.append("".join(best))
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges


def gemma_file(vocab, merges):
    """tokenizer.json of it. Like the hub's, it does not say that texts are lower-cased, truncated or padded."""
    token = lambda content: {"id": vocab[content], "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                             "normalized": False, "special": True}
    sequence = lambda *ids: [*ids, {"Sequence": {"id": "A", "type_id": 0}}]
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [token(t) for t in ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {"type": "TemplateProcessing", "single": sequence(bos),
                           "pair": sequence(bos) + [bos, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<bos>": {"id": "<bos>", "ids": [vocab["<bos>"]], "tokens": ["<bos>"]}}},
        "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": [" ".join(m) for m in merges]},
    }, ensure_ascii=False, indent=1)


def gemma_numbers(captions, vocab, merges):
    """The captions' token numbers by transformers, with the end token, truncated to 64 and padded on the right."""
    tokenizer = Siglip2Tokenizer(vocab=vocab, merges=merges, padding_side="right", add_bos_token=False, add_eos_token=True)
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", vocab["<eos>"])])
    return [[c, tokenizer(c, padding="max_length", truncation=True, max_length=64).input_ids] for c in captions]


captions = (ROOT / "scripts/generate/captions.txt").read_text().splitlines()
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
if sys.argv[1:2] != ["--real"]:
    vocab, merges = gemma(captions, 300)
    (out / "gemma.json").write_text(gemma_file(vocab, merges))
    captions += [c.upper() + " ὈΔΥΣΣΕΎΣ İ" for c in captions[::4]] + [" ".join(captions[i:i + 9]) for i in (0, 20)]
    (out / "gemma_tokens.json").write_text(json.dumps(gemma_numbers(captions, vocab, merges), ensure_ascii=False))
print(f"{out}: {len(captions)} captions")
