/*
 * The library has no function of this contract, because it trains with fused passes (train/trainer.c). So the ordinary
 * test program contains the textbook solution. Its tests compare it with PyTorch and with the library's trainer.
 */
#include "tests/exercises/solutions/training_together.c"
