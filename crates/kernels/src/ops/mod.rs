//! One operation, one folder.

pub mod adamw;
pub mod attention;
pub mod linear_cross_entropy;
pub mod lora_linear;
pub mod matmul;
pub mod rms_norm;
pub mod rope;
pub mod softmax;
pub mod swiglu;
