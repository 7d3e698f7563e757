//! Plans' element types as MPS's.

use objc2_metal_performance_shaders::MPSDataType;

use crate::plan::DataType;

impl DataType {
    /// This type where Apple asks for an `MPSDataType`.
    pub(super) const fn mps(self) -> MPSDataType {
        MPSDataType(self.mps_value())
    }
}

macro_rules! same {
    ($($name:ident)*) => {
        $(const _: () = assert!(DataType::$name.mps_value() == MPSDataType::$name.0);)*
    };
}

same!(Float32 Float16 BFloat16 Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32);
// The bindings' name differs in case.
const _: () = assert!(DataType::UInt64.mps_value() == MPSDataType::UInt64.0);
