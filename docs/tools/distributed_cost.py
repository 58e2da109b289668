#!/usr/bin/env python3
"""The cost model of a training step on several hosts (docs/distributed.md): predicts its seconds from measured parameters.

usage: distributed_cost.py HOSTS GBIT_PER_SECOND SEQUENCES [MODEL] [--processors P] [--measured FILE]
    SEQUENCES     of the whole batch, shared by the hosts: a multiple of HOSTS, as `cs336 train` demands
    MODEL         reference (the default), gpt2-small or 1.3b
    --processors  of each host (1), each as fast as one of those of FILE
    --measured    what tests/hosts/measure.py writes (docs/tools/distributed_measured.json)

A step is simulated as a queue. Backward finishes the gradients of the model from its end to its beginning; when the numbers of
a bucket are complete, the bucket waits until the link is free, and then takes the link for its bytes. The step ends when
both the backward pass and the queue have ended, and the weights are updated. Only the standard library is used.
"""
import argparse
import dataclasses
import json
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUCKET = 1 << 19  # numbers, BUCKET_NUMBERS of distributed/buckets.h
FLOAT = 4  # bytes


# ---- the model that is trained ----

@dataclasses.dataclass
class Model:
    vocabulary: int
    context: int
    layers: int
    d_model: int
    d_ff: int

    @property
    def embedding(self):
        return self.vocabulary * self.d_model

    @property
    def layer_parts(self):
        """(parameters, forward FLOPs for a token) of attention and of the feed-forward network, with their norms."""
        d = self.d_model
        return ((4 * d * d + d, 8 * d * d + 4 * self.context * d), (3 * d * self.d_ff + d, 6 * d * self.d_ff))

    @property
    def head(self):
        return self.embedding + self.d_model, 2 * self.embedding

    @property
    def parameters(self):
        return self.embedding + self.layers * sum(numbers for numbers, _ in self.layer_parts) + self.head[0]

    @property
    def forward_flops(self):
        """For a token; the backward pass has twice as many."""
        return self.layers * sum(flops for _, flops in self.layer_parts) + self.head[1]

    def final_gradients(self):
        """(numbers, share of the step's FLOPs after which they are final), in the order in which they become final. The
        loss computes the gradients of the LM head together with its forward pass, chunk by chunk of the rows."""
        total, parts = 3 * self.forward_flops, self.layer_parts
        done = self.layers * sum(flops for _, flops in parts) + 3 * self.head[1]
        order = [(self.head[0], done / total)]
        for _ in range(self.layers):
            for numbers, flops in reversed(parts):
                done += 2 * flops
                order.append((numbers, done / total))
        return order + [(self.embedding, 1.0)]


MODELS = {"reference": Model(10000, 256, 4, 512, 1344),
          "gpt2-small": Model(50257, 1024, 12, 768, 2048),
          "1.3b": Model(50257, 2048, 24, 2048, 5440)}


def buckets_of(order):
    """(numbers, share) of each bucket: the share after which its last number is final."""
    buckets, room = [], 0
    for numbers, share in order:
        while numbers:
            if room == 0:
                buckets.append([0, share])
                room = BUCKET
            taken = min(room, numbers)
            buckets[-1] = [buckets[-1][0] + taken, share]
            numbers -= taken
            room -= taken
    return buckets


# ---- parameters ----

@dataclasses.dataclass
class Costs:
    """The measured parameters of the model."""
    token: float        # seconds of one processor for the products of the reference model, one token
    update: float       # seconds of one processor for clipping and AdamW, one parameter
    latency: float      # seconds from the begin of a small transfer to its end
    message: float      # seconds of processor time for one more message
    efficiency: float   # share of a link's bits that are gradients at full load
    copy: float         # seconds for a number if the link has no limit: the thread that sends, receives and adds
    cpu: float          # seconds of processor time for a number, taken from the backward pass

    @staticmethod
    def read(path=HERE / "distributed_measured.json"):
        return Costs.of(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))

    @staticmethod
    def of(measured):
        alone = {row["batch"]: row["seconds"] for row in measured["compute"] if row["processes"] == 2}
        (few, short), (many, long) = sorted(alone.items())
        reference = MODELS["reference"]
        token = (long - short) / ((many - few) * reference.context)
        update = max(0.0, short - few * reference.context * token) / reference.parameters
        exchange = {(row["ranks"], row["rate"]): row for row in measured["exchange"]}
        limited, free = exchange[2, "1gbit"], exchange[2, "any"]
        return Costs(token=token, update=update, latency=free["latency"], message=free["message"],
                     efficiency=wire_bytes(2, limited["numbers"]) * 8 / limited["seconds"] / limited["bits"],
                     copy=free["seconds"] / free["numbers"], cpu=free["cpu"] / free["numbers"])


def wire_bytes(hosts, numbers):
    """Bytes that a host sends, and receives, in an all-reduce of so many numbers."""
    return 2 * (hosts - 1) / hosts * FLOAT * numbers


# ---- a step ----

@dataclasses.dataclass
class Step:
    compute: float   # forward and backward without the others
    update: float
    alone: float     # the exchange without the backward pass
    can_hide: float  # of these, what fits between the first complete bucket and the end of the backward pass
    exchange: float  # from the begin of the first bucket to the end of the last
    waited: float    # after the end of the backward pass
    seconds: float   # of the step

    @property
    def hidden(self):
        """The share of what can hide that is hidden."""
        return hidden_share(self.alone, self.can_hide, self.waited)

    @property
    def efficiency(self):
        """Speed as a share of as many hosts that exchange nothing."""
        return (self.compute + self.update) / self.seconds


def hidden_share(alone, can_hide, waited):
    """Of an exchange of `alone` seconds, those for which the step does not wait, as a share of those that can hide."""
    return min(1.0, max(0.0, alone - waited) / can_hide) if can_hide else 1.0


def predict(model, costs, hosts, bits, sequences, processors=1.0):
    """A step of `sequences` sequences, shared by hosts whose links take `bits` a second (0: no limit), with so many
    processors each. A host with less than one shares it with others."""
    flops = model.forward_flops / MODELS["reference"].forward_flops
    compute = sequences / hosts * model.context * costs.token * flops / processors
    update = costs.update * model.parameters / processors
    if hosts == 1:
        return Step(compute, update, 0.0, 0.0, 0.0, 0.0, compute + update)
    stage = costs.latency + (hosts - 2) * costs.message
    crowd = max(1.0, 1 / processors)  # the thread that copies has at most one processor

    def link(numbers):
        wire = wire_bytes(hosts, numbers) * 8 / (costs.efficiency * bits) if bits else 0.0
        return max(wire, crowd * (numbers * costs.copy + 2 * (hosts - 1) * costs.message))

    buckets = buckets_of(model.final_gradients())
    alone = sum(link(numbers) for numbers, _ in buckets) + 2 * stage
    # What the thread takes from the processors before the backward pass ends makes the pass longer.
    slowed = compute + sum(numbers for numbers, share in buckets if share < 1) * costs.cpu / processors
    early = sum(link(numbers) for numbers, share in buckets if share < 1)
    can_hide = min(early, (1 - buckets[0][1]) * slowed)
    free = 0.0
    for numbers, share in buckets:
        free = max(free, share * slowed) + link(numbers)
    end = free + 2 * stage
    waited = max(0.0, end - slowed)
    return Step(compute, update, alone, can_hide, end - buckets[0][1] * slowed, waited,
                slowed + waited + update + stage)


def check(options):
    """Ends the program with one line if a number makes no sense."""
    def refuse(text):
        sys.exit(f"distributed_cost.py: {text}")

    if options.hosts < 1:
        refuse(f"{options.hosts} hosts, expected at least 1")
    if not 0 < options.gbit < math.inf:
        refuse(f"a bandwidth of {options.gbit:g} Gbit/s, expected a number above 0")
    if options.sequences < 1 or options.sequences % options.hosts:
        refuse(f"{options.sequences} sequences, expected a multiple of {options.hosts}: the hosts share them equally")
    if not 0 < options.processors < math.inf:
        refuse(f"{options.processors:g} processors of each host, expected a number above 0")
    if not pathlib.Path(options.measured).is_file():
        refuse(f"{options.measured}: no such file, expected what tests/hosts/measure.py writes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int)
    parser.add_argument("gbit", type=float)
    parser.add_argument("sequences", type=int)
    parser.add_argument("model", nargs="?", choices=MODELS, default="reference")
    parser.add_argument("--processors", type=float, default=1.0)
    parser.add_argument("--measured", default=HERE / "distributed_measured.json")
    options = parser.parse_args()
    check(options)
    model = MODELS[options.model]
    step = predict(model, Costs.read(options.measured), options.hosts, options.gbit * 1e9, options.sequences,
                   options.processors)
    print(f"{options.model}: {model.parameters} parameters, {options.sequences} x {model.context} tokens on {options.hosts} hosts")
    print(f"forward and backward     {step.compute:10.3f} s")
    print(f"clipping and AdamW       {step.update:10.3f} s")
    print(f"exchange, alone          {step.alone:10.3f} s, of which {step.can_hide:.3f} s can hide behind the backward pass")
    print(f"the step waits for it    {step.waited:10.3f} s: {100 * step.hidden:.0f} % of what can hide is hidden")
    print(f"step                     {step.seconds:10.3f} s, {options.sequences * model.context / step.seconds:.0f} tokens/s, "
          f"{100 * step.efficiency:.0f} % of hosts that exchange nothing")


if __name__ == "__main__":
    main()
