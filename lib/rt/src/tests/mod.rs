//! Tests over the model kernel.
