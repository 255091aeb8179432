"""The environment variables that numpy and TensorFlow read when they are imported; child processes inherit them.

Measured on TensorFlow 2.21: the bits of a trained model change with the number of TensorFlow's threads and with the
instruction set of the code that it compiles, so both are fixed, whatever the machine has. What is left are its
libraries of matrix products, which sum in the order that suits a processor's caches and instructions: processors of
the same kind give the same bits, others may differ in the last ones.
"""

import platform

THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
AVX2 = {
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # numpy's AVX-512 routines (sin, exp, log) round differently from its AVX2 ones.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    # A program that ends early can outrun the process that keeps a list of its semaphores, which then warns of one
    # that is gone already.
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}
# The same bits must not depend on a card that one machine has and another has not.
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}

VARIABLES = THREADS | QUIET | NO_GPU
if platform.machine().lower() in ("x86_64", "amd64"):
    VARIABLES |= AVX2
