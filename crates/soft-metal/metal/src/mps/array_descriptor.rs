//! `MPSNDArrayDescriptor`: sizes, fastest dimension first, with transposes and slices on top.

use crate::foundation::{SoftArray, SoftNumber};
use crate::gpu::lock;
use crate::object::{make, soft};
use crate::rules::{Rule, broken};
use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{DefinedClass, define_class};
use objc2_foundation::{NSArray, NSNumber, NSObjectProtocol};
use objc2_metal_performance_shaders::{MPSDataType, MPSDimensionSlice};
use std::ptr::NonNull;
use std::sync::Mutex;

const NAME: &str = "MPSNDArrayDescriptor";
const MAX_RANK: usize = 16;

/// One dimension of a view: a range of a dimension of what it is a view of.
#[derive(Clone, Copy, Debug)]
pub struct Dimension {
    pub source: usize,
    pub start: usize,
    pub len: usize,
}

#[derive(Clone, Debug)]
pub struct Layout {
    pub dtype: MPSDataType,
    /// Sizes before transposes and slices.
    pub base: Vec<usize>,
    pub dimensions: Vec<Dimension>,
    /// Rows follow each other without padding.
    pub packed: bool,
}

impl Layout {
    pub fn new(dtype: MPSDataType, base: Vec<usize>) -> Self {
        if base.is_empty() || base.len() > MAX_RANK || base.contains(&0) {
            broken(Rule::ArrayDimension, NAME, format!("sizes {base:?}"));
        }
        let dimensions = base.iter().enumerate().map(|(source, &len)| Dimension { source, start: 0, len }).collect();
        Self { dtype, base, dimensions, packed: false }
    }

    fn check(&self, dimension: usize, what: &str) {
        if dimension >= self.dimensions.len() {
            broken(Rule::ArrayDimension, NAME, format!("{what}: dimension {dimension} of {}", self.dimensions.len()));
        }
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MPSNDArrayDescriptor"]
    #[ivars = Mutex<Layout>]
    pub struct SoftArrayDescriptor;

    unsafe impl NSObjectProtocol for SoftArrayDescriptor {}

    impl SoftArrayDescriptor {
        #[unsafe(method_id(descriptorWithDataType:dimensionCount:dimensionSizes:))]
        fn with_sizes(dtype: MPSDataType, n: usize, sizes: NonNull<usize>) -> Retained<Self> {
            let sizes = unsafe { std::slice::from_raw_parts(sizes.as_ptr(), n) };
            make(Mutex::new(Layout::new(dtype, sizes.to_vec())))
        }

        /// The shape is slowest dimension first.
        #[unsafe(method_id(descriptorWithDataType:shape:))]
        fn with_shape(dtype: MPSDataType, shape: &NSArray<NSNumber>) -> Retained<Self> {
            let numbers = soft::<SoftArray, _>(shape).ivars();
            let sizes = numbers.iter().rev().map(|n| *soft::<SoftNumber, _>(&**n).ivars() as usize);
            make(Mutex::new(Layout::new(dtype, sizes.collect())))
        }

        #[unsafe(method(dataType))]
        fn data_type(&self) -> MPSDataType {
            self.layout().dtype
        }

        #[unsafe(method(setDataType:))]
        fn set_data_type(&self, dtype: MPSDataType) {
            lock(self.ivars()).dtype = dtype;
        }

        #[unsafe(method(numberOfDimensions))]
        fn number_of_dimensions(&self) -> usize {
            self.layout().dimensions.len()
        }

        #[unsafe(method(lengthOfDimension:))]
        fn length_of(&self, dimension: usize) -> usize {
            let layout = self.layout();
            layout.check(dimension, "lengthOfDimension:");
            layout.dimensions[dimension].len
        }

        #[unsafe(method(preferPackedRows))]
        fn prefer_packed_rows(&self) -> bool {
            self.layout().packed
        }

        #[unsafe(method(setPreferPackedRows:))]
        fn set_prefer_packed_rows(&self, packed: bool) {
            lock(self.ivars()).packed = packed;
        }

        #[unsafe(method(transposeDimension:withDimension:))]
        fn transpose(&self, a: usize, b: usize) {
            let layout = self.layout();
            layout.check(a.max(b), "transposeDimension:withDimension:");
            lock(self.ivars()).dimensions.swap(a, b);
        }

        #[unsafe(method(permuteWithDimensionOrder:))]
        fn permute(&self, order: NonNull<usize>) {
            let layout = self.layout();
            let order = unsafe { std::slice::from_raw_parts(order.as_ptr(), layout.dimensions.len()) };
            let mut dimensions = layout.dimensions.clone();
            for (i, &position) in order.iter().enumerate() {
                layout.check(position, "permuteWithDimensionOrder:");
                dimensions[position] = layout.dimensions[i];
            }
            lock(self.ivars()).dimensions = dimensions;
        }

        #[unsafe(method(sliceDimension:withSubrange:))]
        fn slice(&self, dimension: usize, range: MPSDimensionSlice) {
            let layout = self.layout();
            layout.check(dimension, "sliceDimension:withSubrange:");
            let len = layout.dimensions[dimension].len;
            if range.length == 0 || range.start + range.length > len {
                let place = format!("slice {}..{} of {len}", range.start, range.start + range.length);
                broken(Rule::ArrayDimension, NAME, place);
            }
            let mut state = lock(self.ivars());
            state.dimensions[dimension].start += range.start;
            state.dimensions[dimension].len = range.length;
        }
    }
);

impl SoftArrayDescriptor {
    pub fn with(layout: Layout) -> Retained<Self> {
        make(Mutex::new(layout))
    }

    pub fn layout(&self) -> Layout {
        lock(self.ivars()).clone()
    }
}
