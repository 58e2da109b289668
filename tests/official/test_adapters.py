"""What the course's tests do not ask of the adapters: file objects, damaged checkpoints, wrong arguments, and memory.

run.sh runs these tests after the course's, in the directory of the copy.
"""

import io

import adapters
import numpy as np
import psutil
import pytest
import torch

FIXTURES = "tests/fixtures"


def _net() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))


def _trained(optimizer_class, steps: int):
    """Trains a net with two groups of different rates, and one parameter without gradient."""
    net = _net()
    net[0].bias.requires_grad_(False)
    groups = [{"params": net[0].parameters(), "lr": 0.01, "weight_decay": 0.5}, {"params": net[2].parameters()}]
    optimizer = optimizer_class(groups, lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(4, 7)).square().mean().backward()
        optimizer.step()
    return net, optimizer


def _assert_equal(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]) if torch.is_tensor(value) else value == b[key], key


def test_adamw_with_groups_is_that_of_pytorch():
    ours, theirs = (_trained(kind, 50)[0].state_dict() for kind in (adapters.get_adamw_cls(), torch.optim.AdamW))
    for name, value in ours.items():
        np.testing.assert_allclose(value.numpy(), theirs[name].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_checkpoints_go_through_file_objects():
    net, optimizer = _trained(adapters.get_adamw_cls(), 3)
    file = io.BytesIO()
    adapters.run_save_checkpoint(net, optimizer, 3, file)
    file.seek(0)
    other = _net()
    fresh = adapters.get_adamw_cls()([{"params": other[0].parameters()}, {"params": other[2].parameters()}], lr=9)
    assert adapters.run_load_checkpoint(file, other, fresh) == 3
    _assert_equal(net.state_dict(), other.state_dict())
    old, restored = optimizer.state_dict(), fresh.state_dict()
    assert old["param_groups"] == restored["param_groups"]
    assert old["state"].keys() == restored["state"].keys()
    for index, state in old["state"].items():
        _assert_equal(state, restored["state"][index])


def _assert_unchanged(path, message: str, net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    states = {p: dict(state) for p, state in optimizer.state.items()}
    with pytest.raises(ValueError, match=message):
        adapters.run_load_checkpoint(path, net, optimizer)
    _assert_equal(before, net.state_dict())
    assert states.keys() == optimizer.state.keys()
    for parameter, state in states.items():
        _assert_equal(state, optimizer.state[parameter])


def test_a_checkpoint_that_does_not_load_changes_nothing(tmp_path):
    net, optimizer = _trained(adapters.get_adamw_cls(), 3)
    adapters.run_save_checkpoint(net, optimizer, 3, tmp_path / "whole")
    other, other_optimizer = _trained(adapters.get_adamw_cls(), 1)
    for cut in (5, 700):
        (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-cut])
        _assert_unchanged(tmp_path / "cut", "cut", other, other_optimizer)
    other.append(torch.nn.Linear(3, 2))
    _assert_unchanged(tmp_path / "whole", "3.weight", other, other_optimizer)
    with pytest.raises(OSError, match="missing"):
        adapters.run_load_checkpoint(tmp_path / "missing", net, optimizer)


def test_views_need_no_contiguous_tensor():
    x = torch.randn(6, 8, 10)[::2, 1:7]
    torch.testing.assert_close(adapters.run_softmax(x, -1), torch.softmax(x, -1))
    torch.testing.assert_close(adapters.run_softmax(x.transpose(0, 1), 1), torch.softmax(x.transpose(0, 1), 1))


def test_wrong_arguments_are_refused_with_a_message():
    x = torch.randn(2, 4)
    with pytest.raises(ValueError, match="float64, expected float32"):
        adapters.run_silu(x.double())
    with pytest.raises(ValueError, match="embedding_forward: .*7.*\\[0, 5\\)"):
        adapters.run_embedding(5, 4, torch.randn(5, 4), torch.tensor([1, 7]))
    with pytest.raises(ValueError, match="not in"):
        adapters.run_embedding(5, 4, torch.randn(5, 4), torch.tensor([1 << 32]))
    with pytest.raises(ValueError, match="linear_forward"):
        adapters.run_linear(4, 3, torch.randn(3, 5), x)


def test_an_unknown_device_is_refused():
    """The course's test passes for any implementation: its `assert` inside pytest.raises() is what raises."""
    with pytest.raises(RuntimeError, match="cuda:99"):
        adapters.run_get_batch(np.arange(100), 2, 7, "cuda:99")


def test_a_stream_of_5_mb_takes_less_than_1_mb():
    """The course's test sets its limit only while it makes the generator, so it cannot fail. This one measures."""
    vocab = {index: bytes([index]) for index in range(256)}
    merges = []
    for left in b"aeinost ":
        for right in b"aehinorst":
            merges.append((bytes([left]), bytes([right])))
            vocab[len(vocab)] = bytes([left, right])
    tokenizer = adapters.get_tokenizer(vocab, merges, ["<|endoftext|>"])
    tokenizer.encode("the code is in memory before it is measured")
    process = psutil.Process()
    with open(f"{FIXTURES}/tinystories_sample_5M.txt") as lines:
        before = most = process.memory_info().rss
        for count, _ in enumerate(tokenizer.encode_iterable(lines)):
            if count % 10_000 == 0:
                most = max(most, process.memory_info().rss)
    assert count > 1_000_000
    assert most - before < 1_000_000, f"{most - before} bytes"
