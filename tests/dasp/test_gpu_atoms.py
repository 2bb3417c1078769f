"""The GPU kernels against the CPU's: through Triton's interpreter, compiled for a GPU that is not here, and on one that is."""

import importlib
import re
import sys

import pytest
import torch
import triton
from gpu_cases import BUILDERS, Case, cases
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.interpreter import InterpretedFunction

from dasp.atoms import _library

# The interpreter of the Triton that torch 2.11 pins makes numbers of arrays in a way that numpy gives up.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array with ndim > 0 to a scalar:DeprecationWarning")

PACKAGE = "dasp.atoms.gpu"
CPU_ONLY = [
    f"{name}{end}"
    for name in ("blend", "convolve", "design", "dynamics", "freeverb_mix", "level_design", "lfo", "lfo_swing", "shape")
    for end in ("", "_backward")
] + ["recurrence_backward"]
FORMS = {
    "float32": (torch.float32, False),
    "float32-varying": (torch.float32, True),
    "float64-varying": (torch.float64, True),
}


def _fresh(monkeypatch, *, interpreted):
    """The GPU modules anew: Triton decides at a kernel's definition whether it will be interpreted."""
    for name in [m for m in sys.modules if m.startswith(PACKAGE)]:
        monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1" if interpreted else "0")
        modules = {atom: importlib.import_module(f"{PACKAGE}.{atom}") for atom in BUILDERS}
    for name in [m for m in sys.modules if m.startswith(PACKAGE)]:
        del sys.modules[name]
    return modules


@pytest.fixture(scope="module")
def kernels():
    """Kernels as Python functions on CPU tensors."""
    with pytest.MonkeyPatch.context() as patch:
        # The interpreter wraps Triton's functions once more at each call of a helper, and gets slower each time.
        patch.setattr(InterpretedFunction, "__call__", lambda self, *a, **k: self.rewrite()(*a, **k))
        yield _fresh(patch, interpreted=True)


def _many(result):
    return (result,) if isinstance(result, torch.Tensor) else result


def _compare(case: Case, ours, theirs):
    for a, b in zip(_many(ours), _many(theirs), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype and a.is_contiguous()
        a = a.to(b.device)
        if case.exact:
            assert torch.equal(a, b), case.function
        elif case.function in ("unary", "power", "tanh_forward") and a.dtype == torch.float32:
            assert (a.view(torch.int32) - b.view(torch.int32)).abs().max() <= 2, case.function
        else:
            # Both round a double once; its own error decides no more than the last bit.
            limit = 1e-9 if a.dtype == torch.float64 else 2.5e-7
            torch.testing.assert_close(a, b, rtol=limit, atol=limit * float(b.abs().max()))


@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("atom", BUILDERS)
def test_interpreted_kernels_are_the_cpus(kernels, atom, form):
    for case in cases(atom, *FORMS[form]):
        _compare(case, getattr(kernels[atom], case.function)(*case.args), case.operator(*case.args))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("atom", ["biquad", "ballistics"])
def test_the_chunked_form_is_the_serial_one_to_rounding(kernels, monkeypatch, atom, form):
    module = kernels[atom]
    monkeypatch.setattr(module, "chunking", lambda rows, samples: (-(-samples // 8), 8))
    if atom == "biquad":
        monkeypatch.setattr(module, "_BLOCK", 10)  # the backward pass in two blocks
    for case in cases(atom, *FORMS[form]):
        if case.function in ("forward", "backward"):
            case.exact = atom == "ballistics" and case.function == "forward"
            # What a chunked run does not do: clear states, here of 1e-8.
            _compare(case, getattr(module, case.function)(*case.args), case.operator(*case.args))


def test_the_form_is_chosen_by_rows(kernels):
    launch = importlib.import_module(f"{PACKAGE}._launch")
    assert launch.chunking(launch.SERIAL_ROWS, 441000) == (1, 441000)
    chunks, length = launch.chunking(2, 441000)
    assert (chunks - 1) * length < 441000 <= chunks * length and 0.25 < chunks / length < 4
    assert launch.chunking(2, 20) == (1, 20) and launch.chunking(2, 0) == (1, 1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.parametrize("atom", [a for a in BUILDERS if a not in ("antialias", "libm", "convolution", "lfo")])
def test_a_stream_in_two_blocks_is_the_whole(kernels, atom):
    for case in cases(atom, torch.float32, False):
        if case.state is None:
            continue
        run, cut, args = getattr(kernels[atom], case.function), 8, list(case.args)
        samples = args[0].shape[-1]
        whole, blocks = run(*args), []
        for start, stop in ((0, cut), (cut, samples)):
            # What is as long as the audio is cut with it.
            part = [a[..., start:stop] if isinstance(a, torch.Tensor) and a.shape[-1] == samples else a for a in args]
            y, args[case.state] = run(*part)
            blocks.append(y)
        limit = 0 if case.exact else 2e-7
        torch.testing.assert_close(torch.cat(blocks, -1), whole[0], rtol=limit, atol=limit)
        torch.testing.assert_close(args[case.state], whole[1], rtol=limit, atol=limit)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
def test_freeverbs_and_the_networks_blocks_join(kernels, monkeypatch):
    for atom in ("freeverb", "network"):
        monkeypatch.setattr(kernels[atom], "_BLOCK", 11)
        for case in cases(atom, torch.float32, True)[:2]:
            _compare(case, getattr(kernels[atom], case.function)(*case.args), case.operator(*case.args))


KINDS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int64: "*i64", torch.int8: "*i8"}


@pytest.mark.slow
@pytest.mark.parametrize("atom", [a for a in BUILDERS if a != "convolution"])
def test_kernels_compile_for_a_gpu(monkeypatch, tmp_path, atom):
    """Down to machine code, without a GPU: what interpreters accept is not always a kernel. And nothing is contracted in float32,
    nothing approximate, no double constant shortened."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module, texts = _fresh(monkeypatch, interpreted=False)[atom], []

    def compiled(kernel, programs, *args, warps=1, **constants):
        given = dict(zip(kernel.arg_names, args, strict=False))
        kinds = {
            n: "constexpr" if n in constants else KINDS[given[n].dtype] if isinstance(given[n], torch.Tensor) else "i32"
            for n in kernel.arg_names
        }
        source = ASTSource(kernel, signature=kinds, constexprs=constants)
        options = {"num_warps": warps, "enable_fp_fusion": False}
        binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        assert binary.asm["cubin"]
        texts.append(binary.asm["ptx"])

    for function in (module.__dict__.get(n) for n in ("launch_lanes", "launch_tiles", "launch_network", "starts_of")):
        if function is not None:
            monkeypatch.setitem(function.__globals__, "launch", compiled)
    for case in cases(atom, torch.float32, False)[:2]:
        getattr(module, case.function)(*case.args)
    assert texts
    for text in texts:
        assert not re.search(r"fma\.rn(\.ftz)?\.f32|(approx|full)(\.ftz)?\.f32", text)
    if atom == "antialias":
        assert "0d3FE62E42FEFA39" in texts[0] or "0dBFE62E42FEFA39" in texts[0]  # log 2


def test_every_operator_has_a_kernel_or_never_sees_a_gpu():
    served = {case.operator.overload.name() for atom in BUILDERS for case in cases(atom, torch.float32, False)}
    defined = {n for n in torch._C._dispatch_get_all_op_names() if n.startswith("dasp::")}
    # The plugins run on the CPU; where nothing waits for itself, plain torch serves a GPU as well.
    assert served == defined - {"dasp::render", "dasp::rises"} - {f"dasp::{name}" for name in CPU_ONLY}
    for name in served:
        assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA"), name
    for name in CPU_ONLY:
        assert not torch._C._dispatch_has_kernel_for_dispatch_key(f"dasp::{name}", "CUDA"), name
        assert not torch._C._dispatch_has_kernel_for_dispatch_key(f"dasp::{name}", "CompositeExplicitAutograd"), name


def test_without_triton_the_references_serve_with_one_warning(monkeypatch):
    monkeypatch.setattr(_library, "_TRITON", False)
    _library._without_triton.cache_clear()

    class OnGpu:
        device = torch.device("cuda")

    with pytest.warns(RuntimeWarning, match="need Triton") as caught:
        assert not _library.native(OnGpu()) and not _library.native(OnGpu())
    assert len(caught) == 1
    _library._without_triton.cache_clear()
    monkeypatch.setattr(_library, "_TRITON", True)
    assert _library.native(OnGpu()) and not _library.native(torch.empty(1, device="meta"))


@pytest.mark.cuda
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("atom", BUILDERS)
def test_the_gpu_gives_what_the_cpu_gives(atom, form):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    for case in cases(atom, *FORMS[form]):
        moved = [a.cuda() if isinstance(a, torch.Tensor) else a for a in case.args]
        _compare(case, case.operator(*moved), case.operator(*case.args))
