"""List the words that may be published in reasons and in names of hardware and systems.

Usage:
    is_known("memory", "reason")

Any other word may be private: reasons quote libraries, and libraries quote paths, hosts and users.
A reason is published with only the words listed here, numbers, and the names of axes and values.
"""

import re
from typing import Literal

from bench.spec.axes import AXES
from bench.spec.axis_validation import choices_of
from bench.spec.variant import Variant

_AXES = {
    *AXES,
    *(word for field in Variant.model_fields.values() for word in choices_of(field.annotation)),
}
_REASONS = """
a aborted according accuracy after again all allocate allocating allocator alone already an and
another answer any are arm arms as asked assigned at axis bad batch batch_size be because been
before behind belongs bench_cache_dir beside between blank block bound but by bytes cache cached
cannot cards case cause change changed choice choices chosen cluster code communicate compile
compiled compiles completed computation compute computes connect connection contains continue
control core cores could counted counts cpu crashed cuda cuda_visible_devices cudnn cut data dataset
default deterministic device devices did died differ different disk disks diverged do does driver
dtype each end ended ends enough epoch epochs error errors every exceeded exhausted exited failed
failure few fewer file files finite first folder for forked found free from full function furthest
gave gemm gib give given go goes gpu gpus gradient gradients graph group had has have heard
heartbeat heartbeats held hidden hold holder holds host idle if implemented in inf infinity input
instances instead interrupted invalid ioerror is it its keeps kept kernel kernels kill killed l2
large last layer layers least leaves left less library limit limited list loaded local log long
looked looks loss lost low lower machine made make making many matmul may mean memory message mib
mig module more mps must names nan nans nccl need needed needs network never new no node nodes none
norm norms not nothing num-gpus number object of old on one only oom op open opened operation
optimizer or other others out outofmemory output outside own owner part path peers permission pid
pids placement placement_timeout_s port preloader prepared process processes progress raise raised
ran rank ray reach reached read reading reason receive received receiving record refused remain
replica replicas reset resource_exhausted restart resume retry room run running runs s said same
says second seconds seen sees send sent set shape shapes shell signal since size skip skipped skips
slow so space stall_timeout_s start started status step steps still stopped store strategy such
suite supported system tensor tensorflow test than that the their them then there they this time
timed timeout times to too took total traced tracing trained training trains trial trial_timeout_s
try turn turns type unknown unset unsupported until up usable use used user uses uuids value values
variable variables variant wait waited want was watched weights were what when where which while
widths will window windows with without work worker workers working would writable write writing
written wrong x xla
"""
REASON_WORDS = frozenset({*_AXES, *_REASONS.split()})
SYSTEM_WORDS = re.compile(
    r"Debian|GNU/Linux|Ubuntu|LTS|Red|Hat|Enterprise|Linux|Rocky|AlmaLinux|CentOS|Stream|Fedora|"
    r"openSUSE|Leap|SUSE|Server|SLES|SP\d|Amazon|Arch|Alpine|Oracle|Container-Optimized|OS|"
    r"\(?(bookworm|trixie|bullseye|forky|sid|Plow|Ootpa|Coughlan)\)?"
)
CPU_WORDS = re.compile(
    r"Intel|AMD|ARM|Apple|Ampere|Xeon|Core|EPYC|Ryzen|Threadripper|PRO|Gold|Silver|Platinum|Bronze|"
    r"(Intel|Xeon|Core|Atom)\((R|TM)\)|Processor|CPU|Model|Altra|Max|Ultra|@|\d\.\d+GHz|"
    r"v\d|\d{1,3}-Core|i[3579]-\d{4,5}[A-Z]{0,2}|[A-Z]\d{1,2}|[A-Z]{0,2}\d{4}[A-Z0-9]{0,2}\+?|"
    r"Neoverse-[A-Z]\d|Cortex-[A-Z]\d{1,2}|Graviton\d?|Virtual|QEMU|Common|KVM"
)
GPU_WORDS = re.compile(
    r"NVIDIA|Tesla|Quadro|GeForce|RTX|GTX|TITAN|GRID|Graphics|Device|GPU|MIG|Ada|Generation|Laptop|"
    r"SUPER|Super|Ti|PCIe|PCIE|NVL|SXM\d?|HBM\d\w?|\d{1,3}GB|\dg\.\d{1,3}gb|"
    r"(GH|GB|RTX|GTX|DGX|[ABHLPTVK])?\d{1,4}[A-Za-z]{0,2}(-(SXM\d?|PCIE|PCIe)(-\d{1,3}GB)?)?"
)

_SETTINGS = """
PCI_BUS_ID FASTEST_FIRST LAZY EAGER true false True False TRUE FALSE yes no on off
cuda_malloc_async gpu_private gpu_shared global tensorflow jax torch active passive ACTIVE
PASSIVE close spread master granularity compact scatter balanced none disabled cores threads
sockets INFO WARN VERSION TRACE Ring Tree CollNet NVLS LL LL128 Simple LOC NVL PIX PXB PHB SYS
static dynamic guided auto INTEL GNU
"""
VARIABLE_WORDS = frozenset(_SETTINGS.split())
FLAG = re.compile(r"--?(tf_)?xla_[a-z0-9_]{1,60}(=(true|false|-?\d{1,12}))?|--tf_mlir_[a-z0-9_]+")

Words = Literal["reason", "system", "cpu", "gpu"]
_PATTERNS = {"system": SYSTEM_WORDS, "cpu": CPU_WORDS, "gpu": GPU_WORDS}
_NUMBER = re.compile(r"[-+]?\d{1,18}(\.\d{1,18})?(e[-+]?\d{1,3})?%?")
_SIZES = re.compile(r"\[\d{1,9}(,\d{1,9})*\]")
_EXCEPTION_NAME = re.compile(r"[A-Z][A-Za-z]{2,30}(Error|Exception)")
_PUNCTUATION = ".,:;()'\"`!?-"


def is_known(word: str, of: Words) -> bool:
    """Return whether ``word`` may be published, ignoring the punctuation around it."""
    bare = word.strip(_PUNCTUATION)
    if not bare or _NUMBER.fullmatch(bare):
        return True
    if of != "reason":
        return bool(_PATTERNS[of].fullmatch(word))
    parts = [part.strip(_PUNCTUATION).lower() for part in bare.split("=")]
    return bool(_SIZES.fullmatch(bare) or _EXCEPTION_NAME.fullmatch(bare)) or all(
        part.removesuffix("'s") in REASON_WORDS or _NUMBER.fullmatch(part) for part in parts
    )
