// Weights in half of the memory.
enable f16;
alias Weight = f16;
