// Weights as they are.
alias Weight = f32;
