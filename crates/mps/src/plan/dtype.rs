//! Element types.

use std::fmt;

/// An element type, with the value of Apple's `MPSDataType` as its discriminant.
///
/// Values: `MPSCoreTypes.h`, as bound by objc2-metal-performance-shaders 0.3.2
/// (`MPSCore/MPSCoreTypes.rs`). The low byte counts the bits of an element; the high bits are
/// float `0x1000_0000`, signed `0x2000_0000` and alternate encoding `0x8000_0000`. The enum is a
/// `uint32_t` in the ABI. `BFloat16` needs macOS 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DataType {
    /// IEEE 754 binary32.
    Float32 = 0x1000_0020,
    /// IEEE 754 binary16.
    Float16 = 0x1000_0010,
    /// The upper half of a binary32.
    BFloat16 = 0x9000_0010,
    /// Signed, 8 bits.
    Int8 = 0x2000_0008,
    /// Signed, 16 bits.
    Int16 = 0x2000_0010,
    /// Signed, 32 bits.
    Int32 = 0x2000_0020,
    /// Signed, 64 bits.
    Int64 = 0x2000_0040,
    /// Unsigned, 8 bits.
    UInt8 = 0x08,
    /// Unsigned, 16 bits.
    UInt16 = 0x10,
    /// Unsigned, 32 bits.
    UInt32 = 0x20,
    /// Unsigned, 64 bits.
    UInt64 = 0x40,
}

impl DataType {
    /// The value to pass where Apple asks for an `MPSDataType`.
    pub const fn mps_value(self) -> u32 {
        self as u32
    }

    /// Bytes of one element.
    pub const fn size_in_bytes(self) -> usize {
        (self.mps_value() & 0xff) as usize / 8
    }

    /// `true` for the two 16-bit float types.
    pub const fn is_half(self) -> bool {
        matches!(self, Self::Float16 | Self::BFloat16)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::DataType;

    #[test]
    fn values_are_those_of_the_header() {
        assert_eq!(DataType::Float32.mps_value(), 268_435_488);
        assert_eq!(DataType::Float16.mps_value(), 268_435_472);
        assert_eq!(DataType::BFloat16.mps_value(), 2_415_919_120);
        assert_eq!(DataType::Int8.mps_value(), 536_870_920);
        assert_eq!(DataType::Int16.mps_value(), 536_870_928);
        assert_eq!(DataType::Int32.mps_value(), 536_870_944);
        assert_eq!(DataType::Int64.mps_value(), 536_870_976);
        assert_eq!(DataType::UInt8.mps_value(), 8);
        assert_eq!(DataType::UInt16.mps_value(), 16);
        assert_eq!(DataType::UInt32.mps_value(), 32);
        assert_eq!(DataType::UInt64.mps_value(), 64);
    }

    #[test]
    fn sizes() {
        let sized = [
            (1, vec![DataType::Int8, DataType::UInt8]),
            (2, vec![DataType::Float16, DataType::BFloat16]),
            (2, vec![DataType::Int16, DataType::UInt16]),
            (
                4,
                vec![DataType::Float32, DataType::Int32, DataType::UInt32],
            ),
            (8, vec![DataType::Int64, DataType::UInt64]),
        ];
        for (size_in_bytes, types) in sized {
            for dtype in types {
                assert_eq!(dtype.size_in_bytes(), size_in_bytes, "{dtype}");
            }
        }
    }
}
