"""The network of a directory in PyTorch, for bench: peer.c is at the other end.

    torch.py KIND DIR THREADS

DIR has config.json, model.safetensors and input.f32.  Writes "ready", or why
not; then, for each line "run" on standard input, runs once and writes seconds
and a loss, and for "answer" writes DIR/answer.f32 and its size.
"""
import ctypes
import json
import os
import re
import struct
import sys
import time

# This file is called torch.py, and Python looks here first.
sys.path.pop(0)
try:
    import numpy
    import torch
    import transformers
    from transformers.models.perceiver import modeling_perceiver as perceiver
except Exception as e:
    print(f"no torch and transformers: {e}".splitlines()[0], flush=True)
    sys.exit(0)


def use_threads(n):
    """The BLAS that torch calls has a number of its own."""
    torch.set_num_threads(n)
    with open("/proc/self/maps") as maps:
        for path in set(re.findall(r"\S*lib\S*blas\S*\.so\S*", maps.read())):
            try:
                ctypes.CDLL(path).openblas_set_num_threads(n)
            except (AttributeError, OSError):
                pass


def read_weights(path):
    """safetensors: the length of the header, the header, the data."""
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        head = json.loads(f.read(n))
        data = numpy.frombuffer(f.read(), "<f4")
    head.pop("__metadata__", None)
    return {name: torch.tensor(data[t["data_offsets"][0] // 4:
                                    t["data_offsets"][1] // 4])
            .reshape(t["shape"]) for name, t in head.items()}


def fill(model, directory):
    """Every tensor by its name; what is no weight may be missing."""
    weights = read_weights(directory + "/model.safetensors")
    missing, extra = model.load_state_dict(weights, strict=False)
    names = {n for n, _ in model.named_parameters()}
    bad = [n for n in missing if n in names] + list(extra)
    if bad:
        raise ValueError(f"tensors that are only on one side: {bad[:3]}")
    return model


class Classifier(torch.nn.Module):
    """A picture classifier of any size and number of bands."""

    def __init__(self, c):
        super().__init__()
        own = c["pcv"]
        size = (own["height"], own["width"])
        bands = own["bands"]
        config = transformers.PerceiverConfig(
            num_latents=c["num_latents"], d_latents=c["d_latents"],
            d_model=own["channels"] + 2 * (2 * bands + 1),
            num_blocks=c["num_blocks"],
            num_self_attends_per_block=c["num_self_attends_per_block"],
            num_self_attention_heads=c["num_self_attention_heads"],
            num_cross_attention_heads=c["num_cross_attention_heads"],
            attention_probs_dropout_prob=0, num_labels=own["outputs"])
        self.perceiver = perceiver.PerceiverModel(
            config,
            input_preprocessor=perceiver.PerceiverImagePreprocessor(
                config, prep_type="pixels", spatial_downsample=1,
                in_channels=own["channels"],
                fourier_position_encoding_kwargs=dict(
                    concat_pos=True, max_resolution=size, num_bands=bands,
                    sine_only=False)),
            decoder=perceiver.PerceiverClassificationDecoder(
                config, num_channels=config.d_latents,
                trainable_position_encoding_kwargs=dict(
                    num_channels=config.d_latents, index_dims=1),
                use_query_residual=True))

    def forward(self, x):
        return self.perceiver(inputs=x).logits


class Answers:
    """Passes of a published class."""

    def __init__(self, directory, name, shape, prepare):
        config = transformers.PerceiverConfig.from_json_file(
            directory + "/config.json")
        self.model = fill(getattr(transformers, name)(config), directory)
        self.model.eval()
        x = numpy.fromfile(directory + "/input.f32", "<f4")
        self.x = prepare(torch.tensor(x).reshape(shape))

    def run(self):
        with torch.no_grad():
            self.answer = self.model(inputs=self.x).logits
        return 0.0


class Training:
    """Steps on one batch."""

    def __init__(self, directory):
        with open(directory + "/config.json") as f:
            c = json.load(f)
        own = c["pcv"]
        self.model = fill(Classifier(c), directory)
        x = numpy.fromfile(directory + "/input.f32", "<f4")
        self.x = torch.tensor(x).reshape(-1, own["channels"], own["height"],
                                         own["width"])
        self.label = torch.tensor(numpy.fromfile(directory + "/label.f32",
                                                 "<f4")).long()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3,
                                           weight_decay=0)

    def run(self):
        self.optimizer.zero_grad()
        self.answer = self.model(self.x)
        loss = torch.nn.functional.cross_entropy(self.answer, self.label)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def neighbourhoods(x):
    """Pixels with the eight around them: place by place, colours inside."""
    n, c, h, w = x.shape
    x = torch.nn.functional.unfold(x, 3, padding=1).reshape(n, c, 9, h, w)
    return x.transpose(1, 2).reshape(1, n, 9 * c, h, w)


KINDS = {
    "fourier": lambda d: Answers(d, "PerceiverForImageClassificationFourier",
                                 (1, 3, 224, 224), lambda x: x),
    "language": lambda d: Answers(d, "PerceiverForMaskedLM", (1, 2048),
                                  lambda x: x.long()),
    "flow": lambda d: Answers(d, "PerceiverForOpticalFlow", (2, 3, 368, 496),
                              neighbourhoods),
    "training": Training,
}


def main():
    kind, directory, threads = sys.argv[1:]
    use_threads(int(threads))
    network = KINDS[kind](directory)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "run":
            start = time.perf_counter()
            loss = network.run()
            print(time.perf_counter() - start, loss, flush=True)
        else:
            answer = network.answer.detach().numpy().astype("<f4")
            answer.tofile(directory + "/answer.f32")
            print(answer.size, flush=True)


main()
