"""The training loop on a tiny network: it learns, resumes to the step, and waits for its data in a fixed order."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge.training.batches import MIRROR, make_batch, quaternions  # noqa: E402
from bridge.training.group import World, make_group  # noqa: E402
from bridge.training.losses import losses  # noqa: E402
from bridge.training.pool import Pool, PoolPlan  # noqa: E402
from bridge.training.validation import score_output  # noqa: E402

from .test_training_generator import avatar  # noqa: E402

PLAN = PoolPlan(seed=3, size=48, views=4, slots=12, window=8, warm=6, per_step=0.25)


def settings(**changes):
    from bridge.training.loop import TrainSettings

    body = {
        "size": "tiny",
        "budget": 100.0,
        "rate": 2e-3,
        "warmup": 5,
        "views_per_step": 4,
        "seed": 2,
        "stages": ((2.0, (32, 48)),),
        "fixed_pace": 0.5,
        "bf16": False,
        "pool": PLAN,
    }
    return TrainSettings(**(body | changes))


@pytest.fixture(scope="module")
def groups():
    world = World(None, [avatar()])
    return [make_group(100 + i, world, PLAN.views, PLAN.size, oversample=1.0) for i in range(16)]


def trainer(folder, groups, **changes):
    from bridge.training.loop import Trainer

    torch.set_num_threads(1)
    made = Trainer(settings(**changes), folder, folder, "cpu", workers=0)
    for number in range(12):
        if not made.pool.ready(number):
            made.pool.write(number, groups[number])
    return made


def test_the_loss_falls(tmp_path, groups):
    run = trainer(tmp_path, groups, pool=PoolPlan(**(vars(PLAN) | {"per_step": 0.0})))
    terms = [run.step() for _ in range(60)]
    first, last = (np.mean([t["normal"] for t in part]) for part in (terms[:8], terms[-8:]))
    assert last < 0.75 * first
    assert all(np.isfinite(list(t.values())).all() for t in terms)


def test_a_resumed_run_takes_the_same_next_step(tmp_path, groups):
    straight = trainer(tmp_path / "a", groups)
    for _ in range(6):
        straight.step()
    broken = trainer(tmp_path / "b", groups)
    for _ in range(3):
        broken.step()
    broken.save()
    resumed = trainer(tmp_path / "b", groups)
    assert resumed.progress.step == 3 and resumed.progress.views == broken.progress.views
    terms = [resumed.step() for _ in range(3)]
    assert terms[-1]["size"] in (32, 48) and resumed.rate() == straight.rate()
    for (name, a), b in zip(straight.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    for name, value in straight.ema.items():
        assert torch.equal(value, resumed.ema[name]), name


def test_missing_groups_are_waited_for_not_replaced(tmp_path, groups):
    run = trainer(tmp_path, groups)
    run.pool.held[0] = 0
    with pytest.raises(RuntimeError, match=r"generator\.log"):
        run.step()


def test_the_pool_never_overwrites_what_a_step_may_use(tmp_path):
    pool = Pool(tmp_path, PLAN)
    for step in (0, 10, 100):
        low, high = pool.request(step)
        assert 0 < high - low <= PLAN.window and pool.plan.high(step) == high
        assert not pool.wanted(low + PLAN.slots)  # its slot is low's
        assert pool.wanted(high)


def test_a_pool_that_ran_ahead_makes_again_what_a_resumed_run_needs(tmp_path, groups):
    pool = Pool(tmp_path, PLAN)
    pool.request(200)  # workers went on to later groups ...
    late = pool.plan.high(200)
    slot_mate = late - PLAN.slots
    pool.write(late, groups[0])
    pool.request(160)  # ... then the run went back to its checkpoint
    assert pool.plan.high(160) - PLAN.window <= slot_mate < pool.plan.high(160)
    assert pool.wanted(slot_mate) and not pool.ready(slot_mate)


def test_other_settings_do_not_share_a_pool(tmp_path):
    Pool(tmp_path, PLAN)
    with pytest.raises(ValueError, match="other settings"):
        Pool(tmp_path, PoolPlan(**(vars(PLAN) | {"seed": 9})))


def test_a_run_on_another_runs_pool_takes_the_same_steps(tmp_path, groups):
    from bridge.training.loop import Trainer

    filled = trainer(tmp_path / "a", groups)
    sharing = Trainer(settings(), tmp_path / "b", tmp_path, "cpu", workers=0, pool=tmp_path / "a/pool")
    assert filled.step() == sharing.step()


def test_a_pool_that_nobody_fills_is_named(tmp_path, groups, monkeypatch):
    monkeypatch.setattr("bridge.training.pool.PATIENCE", 0.3)
    pool = Pool(tmp_path, PLAN, shared=True)
    with pytest.raises(RuntimeError, match=r"has not made group 0 .* is running"):
        pool.wait(*pool.request(0), [])


def test_muon_sees_the_kernels_of_a_network_in_channels_last_memory():
    """Its update of a convolution is that of the matrix [out, in * h * w], whatever the order of the columns."""
    from bridge.training.optimiser import Optimiser

    torch.manual_seed(0)
    layer = torch.nn.Conv2d(5, 6, 3)
    grad = torch.randn_like(layer.weight)
    flat = torch.nn.Parameter(layer.weight.detach().flatten(1).clone())
    flat.grad = grad.flatten(1).clone()
    torch.optim.Muon([flat], lr=0.1, weight_decay=0.02, adjust_lr_fn="match_rms_adamw").step()
    with pytest.raises(ValueError, match="channels-last"):
        Optimiser(layer, set())
    layer = layer.to(memory_format=torch.channels_last)
    layer.weight.grad, layer.bias.grad = grad, torch.ones(6)
    optimiser = Optimiser(layer, set())
    bias = layer.bias.detach().clone()
    optimiser.step(0.1)
    assert torch.allclose(layer.weight.flatten(1), flat, atol=2e-3)  # Muon computes in bf16
    assert torch.allclose(layer.bias, bias - 0.1, atol=1e-4)
    assert {name for name, _ in optimiser.states()} == {"weight", "bias"}


def as_dict(group) -> dict[str, np.ndarray]:
    return {k: v.copy() for k, v in vars(group).items()}


def test_augmentation_keeps_truth_and_pose_together(groups):
    """Canonical points must project into their pixels after mirroring and turning the world (relative poses only)."""
    size, group = PLAN.size, as_dict(groups[0])
    batch = make_batch([as_dict(groups[0])], size, None)
    assert batch.image.shape == (4, 4, size, size) and (batch.image[:, 3] == 1).all()
    assert np.allclose(quaternions(group["rotation"]), batch.quaternion.numpy())
    for seed in range(6):
        turned = make_batch([as_dict(groups[0])], size, np.random.default_rng(seed))
        relative = _relative(turned.quaternion)
        plain = _relative(batch.quaternion)
        mirrored = torch.allclose(turned.matte, batch.matte.flip(-1)) and not torch.allclose(turned.matte, batch.matte)
        if mirrored:
            m = torch.from_numpy(MIRROR).float()
            plain = m @ plain @ m
            assert torch.allclose(turned.normal[:, 0], -batch.normal[:, 0].flip(-1), atol=1e-6)
            assert torch.allclose(turned.canonical[:, 0], -batch.canonical[:, 0].flip(-1), atol=1e-6)
        assert torch.allclose(relative, plain, atol=1e-4)


def _relative(q: torch.Tensor) -> torch.Tensor:
    """Rotations from the first view's camera to the others': the world's frame cancels."""
    from bridge.normals.network import rotation_of

    R = rotation_of(q)
    return R @ R[:1].transpose(1, 2)


def test_a_perfect_answer_has_no_loss(groups):
    batch = make_batch([as_dict(groups[1])], PLAN.size, None)
    logit = (batch.matte * 40 - 20).clamp(-20, 20)
    normal = torch.nn.functional.normalize(batch.normal + torch.tensor([0, 0, 1e-6]).view(1, 3, 1, 1), dim=1)
    perfect = torch.cat((normal, logit, batch.canonical, torch.full_like(logit, 20.0)), 1)
    terms = losses(perfect, batch)
    assert terms["normal"] < 1e-5 and terms["canonical"] < 1e-6
    angle, canonical, _, areas = score_output(perfect, batch)
    assert angle.mean() < 0.1 and canonical.mean() < 1e-6 and areas[0] == areas[1]
    mirrored = losses(torch.cat((normal * torch.tensor([-1.0, 1, 1]).view(1, 3, 1, 1), perfect[:, 3:]), 1), batch)
    assert mirrored["normal"] > 0.1


def test_the_command_names_missing_data(tmp_path, capsys):
    from bridge.training.cli import export_main

    assert export_main(["--run", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "error" in capsys.readouterr().err
