//! `MPSNDArray`: a strided view of a buffer.

use super::array_descriptor::{Layout, SoftArrayDescriptor};
use super::dtype::{get, put, width};
use crate::buffer::SoftBuffer;
use crate::device::SoftDevice;
use crate::gpu::{Access, order};
use crate::object::{make, soft};
use crate::rules::{Rule, broken};
use objc2::rc::{Allocated, Retained};
use objc2::runtime::{NSObject, ProtocolObject};
use objc2::{DefinedClass, Message, define_class, msg_send};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{MTLBuffer, MTLCommandBuffer, MTLDevice, MTLResourceOptions};
use objc2_metal_performance_shaders::{MPSAliasingStrategy, MPSDataType, MPSNDArrayDescriptor};
use std::ffi::c_void;
use std::sync::atomic::Ordering::SeqCst;

const NAME: &str = "MPSNDArray";

/// Rows of an array begin at multiples of this, unless its descriptor prefers packed rows.
const ROW_ALIGNMENT: usize = 16;

#[derive(Clone)]
pub struct View {
    pub buffer: Retained<SoftBuffer>,
    offset: usize,
    pub dtype: MPSDataType,
    /// Length and stride in bytes, fastest dimension of the descriptor first.
    dimensions: Vec<(usize, usize)>,
}

impl View {
    /// A buffer laid out as the descriptor's sizes say, seen through its transposes and slices.
    fn of_buffer(buffer: &SoftBuffer, offset: usize, layout: &Layout) -> Self {
        let mut stride = width(layout.dtype, NAME);
        let mut base = vec![];
        for (i, &len) in layout.base.iter().enumerate() {
            base.push((len, stride));
            stride *= len;
            if i == 0 && !layout.packed {
                stride = stride.next_multiple_of(ROW_ALIGNMENT);
            }
        }
        let whole = Self { buffer: buffer.retain(), offset, dtype: layout.dtype, dimensions: base };
        whole.check();
        whole.view(layout)
    }

    /// What a descriptor of this view selects.
    fn view(&self, layout: &Layout) -> Self {
        let mut view = self.clone();
        view.dimensions = layout.dimensions.iter().map(|d| (d.len, self.stride(d.source))).collect();
        view.offset += layout.dimensions.iter().map(|d| d.start * self.stride(d.source)).sum::<usize>();
        view
    }

    /// Dimensions past the last have one element.
    pub fn len(&self, dimension: usize) -> usize {
        self.dimensions.get(dimension).map_or(1, |d| d.0)
    }

    fn stride(&self, dimension: usize) -> usize {
        self.dimensions.get(dimension).map_or(0, |d| d.1)
    }

    /// From the first byte to the last.
    fn span(&self) -> usize {
        self.dimensions.iter().map(|(len, stride)| (len - 1) * stride).sum::<usize>() + width(self.dtype, NAME)
    }

    fn check(&self) {
        let (v, end) = (self.buffer.ivars(), self.offset + self.span());
        if end > v.len || !self.offset.is_multiple_of(width(self.dtype, NAME)) {
            let place = format!("{NAME} at offset {}: {end} bytes are needed, it has {}", self.offset, v.len);
            broken(Rule::ArrayRange, &v.name, place);
        }
    }

    pub fn access(&self, write: bool) -> Access {
        Access::new(self.buffer.clone(), self.offset, self.span(), write)
    }

    /// `at` has one index per dimension; an index into a dimension of one element is taken as 0 (broadcast).
    fn address(&self, at: &[usize]) -> usize {
        let place = |(i, &x): (usize, &usize)| if self.len(i) == 1 { 0 } else { x * self.stride(i) };
        self.buffer.ivars().address() + self.offset + at.iter().enumerate().map(place).sum::<usize>()
    }

    /// Indices must be inside, or the dimension must have one element.
    pub fn get(&self, at: &[usize]) -> f64 {
        // SAFETY: the view was checked against its buffer, and keeps it alive.
        unsafe { get(self.address(at), self.dtype) }
    }

    /// As [`View::get`].
    pub fn put(&self, at: &[usize], value: f64) {
        // SAFETY: as above.
        unsafe { put(self.address(at), self.dtype, value) }
    }

    /// Every index, and the address of its element in the host's memory, whose strides in bytes are `strides`, fastest
    /// dimension first; packed if that is null.
    fn each_on_host(&self, host: *mut c_void, strides: *mut isize, mut f: impl FnMut(&[usize], usize)) {
        let width = width(self.dtype, NAME);
        for (i, at) in self.indices().iter().enumerate() {
            let offset = match strides.is_null() {
                true => (i * width) as isize,
                // SAFETY: the caller gives one stride per dimension.
                false => at.iter().enumerate().map(|(d, &x)| x as isize * unsafe { *strides.add(d) }).sum(),
            };
            f(at, (host as usize).wrapping_add_signed(offset));
        }
    }

    /// Every index, fastest dimension first.
    fn indices(&self) -> Vec<Vec<usize>> {
        let lens: Vec<usize> = self.dimensions.iter().map(|d| d.0).collect();
        let index = |mut n: usize| {
            lens.iter()
                .map(|l| {
                    let i = n % l;
                    n /= l;
                    i
                })
                .collect()
        };
        (0..lens.iter().product()).map(index).collect()
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MPSNDArray"]
    #[ivars = View]
    pub struct SoftNDArray;

    unsafe impl NSObjectProtocol for SoftNDArray {}

    impl SoftNDArray {
        #[unsafe(method_id(initWithBuffer:offset:descriptor:))]
        fn init_with_buffer(this: Allocated<Self>, buffer: &ProtocolObject<dyn MTLBuffer>, offset: usize, descriptor: &MPSNDArrayDescriptor) -> Option<Retained<Self>> {
            let layout = soft::<SoftArrayDescriptor, _>(descriptor).layout();
            let this = this.set_ivars(View::of_buffer(soft::<SoftBuffer, _>(buffer), offset, &layout));
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method_id(initWithDevice:descriptor:))]
        fn init_with_device(this: Allocated<Self>, device: &ProtocolObject<dyn MTLDevice>, descriptor: &MPSNDArrayDescriptor) -> Option<Retained<Self>> {
            let layout = soft::<SoftArrayDescriptor, _>(descriptor).layout();
            let row = (layout.base[0] * width(layout.dtype, NAME)).next_multiple_of(ROW_ALIGNMENT);
            let bytes = row * layout.base[1..].iter().product::<usize>();
            let buffer = SoftBuffer::new(soft::<SoftDevice, _>(device), bytes, MTLResourceOptions::StorageModeShared);
            let this = this.set_ivars(View::of_buffer(&buffer, 0, &layout));
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method(dataType))]
        fn data_type(&self) -> MPSDataType {
            self.ivars().dtype
        }

        #[unsafe(method(dataTypeSize))]
        fn data_type_size(&self) -> usize {
            width(self.ivars().dtype, NAME)
        }

        #[unsafe(method(numberOfDimensions))]
        fn number_of_dimensions(&self) -> usize {
            self.ivars().dimensions.len()
        }

        #[unsafe(method(lengthOfDimension:))]
        fn length_of(&self, dimension: usize) -> usize {
            self.ivars().len(dimension)
        }

        #[unsafe(method_id(descriptor))]
        fn descriptor(&self) -> Retained<SoftArrayDescriptor> {
            let v = self.ivars();
            SoftArrayDescriptor::with(Layout::new(v.dtype, v.dimensions.iter().map(|d| d.0).collect()))
        }

        #[unsafe(method_id(userBuffer))]
        fn user_buffer(&self) -> Option<Retained<ProtocolObject<dyn MTLBuffer>>> {
            Some(ProtocolObject::from_retained(self.ivars().buffer.clone()))
        }

        #[unsafe(method_id(arrayViewWithDescriptor:))]
        fn view(&self, descriptor: &MPSNDArrayDescriptor) -> Option<Retained<Self>> {
            Some(make(self.ivars().view(&soft::<SoftArrayDescriptor, _>(descriptor).layout())))
        }

        #[unsafe(method_id(arrayViewWithCommandBuffer:descriptor:aliasing:))]
        fn view_in(&self, _commands: &ProtocolObject<dyn MTLCommandBuffer>, descriptor: &MPSNDArrayDescriptor, _aliasing: MPSAliasingStrategy) -> Option<Retained<Self>> {
            Some(make(self.ivars().view(&soft::<SoftArrayDescriptor, _>(descriptor).layout())))
        }

        /// To bytes of the host, which must wait for what writes the array.
        #[unsafe(method(readBytes:strideBytes:))]
        fn read_bytes(&self, to: *mut c_void, strides: *mut isize) {
            let v = self.ivars();
            order::host_touches(&v.buffer);
            // SAFETY: the caller's memory holds the whole array.
            v.each_on_host(to, strides, |at, p| unsafe { put(p, v.dtype, v.get(at)) });
        }

        /// From bytes of the host.
        #[unsafe(method(writeBytes:strideBytes:))]
        fn write_bytes(&self, from: *mut c_void, strides: *mut isize) {
            let v = self.ivars();
            order::host_touches(&v.buffer);
            v.buffer.ivars().written.store(true, SeqCst);
            // SAFETY: as above.
            v.each_on_host(from, strides, |at, p| v.put(at, unsafe { get(p, v.dtype) }));
        }
    }
);
