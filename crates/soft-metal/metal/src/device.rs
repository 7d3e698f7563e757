//! `MTLDevice`: one, for as long as the process runs.

use crate::buffer::{ALLOCATED, SoftBuffer};
use crate::counts;
use crate::event::{SoftEvent, SoftFence, SoftSharedEvent};
use crate::foundation::fail;
use crate::gpu::{Shared, lock};
use crate::library::{SoftFunction, SoftLibrary, SoftPipeline, language};
use crate::object::{make, soft};
use crate::queue::SoftQueue;
use crate::residency::SoftResidency;
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject, ProtocolObject};
use objc2::{ClassType, define_class};
use objc2_foundation::{NSError, NSObjectProtocol, NSString};
use objc2_metal::{
    MTLBuffer, MTLCommandQueue, MTLDevice, MTLEvent, MTLFence, MTLResourceOptions, MTLSharedEvent, MTLSize,
};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, OnceLock};

pub const MAX_THREADS: usize = 1024;
pub const MAX_THREADGROUP_MEMORY: usize = 32 << 10;
const LIBRARY_ERRORS: &str = "MTLLibraryErrorDomain";

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftDevice"]
    #[ivars = ()]
    pub struct SoftDevice;

    unsafe impl NSObjectProtocol for SoftDevice {}

    unsafe impl MTLDevice for SoftDevice {
        #[unsafe(method_id(name))]
        fn name(&self) -> Retained<NSString> {
            NSString::from_str("Software Metal")
        }

        #[unsafe(method(registryID))]
        fn registryID(&self) -> u64 {
            1
        }

        #[unsafe(method(hasUnifiedMemory))]
        fn hasUnifiedMemory(&self) -> bool {
            true
        }

        #[unsafe(method(maxThreadsPerThreadgroup))]
        fn maxThreadsPerThreadgroup(&self) -> MTLSize {
            MTLSize { width: MAX_THREADS, height: MAX_THREADS, depth: MAX_THREADS }
        }

        #[unsafe(method(maxThreadgroupMemoryLength))]
        fn maxThreadgroupMemoryLength(&self) -> usize {
            MAX_THREADGROUP_MEMORY
        }

        #[unsafe(method(maxBufferLength))]
        fn maxBufferLength(&self) -> usize {
            1 << 32
        }

        #[unsafe(method(recommendedMaxWorkingSetSize))]
        fn recommendedMaxWorkingSetSize(&self) -> u64 {
            1 << 32
        }

        #[unsafe(method(currentAllocatedSize))]
        fn currentAllocatedSize(&self) -> usize {
            ALLOCATED.load(SeqCst)
        }

        #[unsafe(method_id(newCommandQueue))]
        fn newCommandQueue(&self) -> Option<Retained<ProtocolObject<dyn MTLCommandQueue>>> {
            Some(ProtocolObject::from_retained(SoftQueue::new(self)))
        }

        #[unsafe(method_id(newBufferWithLength:options:))]
        fn newBufferWithLength_options(&self, n: usize, options: MTLResourceOptions) -> Option<Retained<ProtocolObject<dyn MTLBuffer>>> {
            Some(ProtocolObject::from_retained(SoftBuffer::new(self, n, options)))
        }

        #[unsafe(method_id(newBufferWithBytes:length:options:))]
        unsafe fn newBufferWithBytes_length_options(&self, p: NonNull<c_void>, n: usize, options: MTLResourceOptions) -> Option<Retained<ProtocolObject<dyn MTLBuffer>>> {
            let bytes = unsafe { std::slice::from_raw_parts(p.as_ptr() as *const u8, n) };
            Some(ProtocolObject::from_retained(SoftBuffer::with_bytes(self, bytes, options)))
        }

        #[unsafe(method_id(newFence))]
        fn newFence(&self) -> Option<Retained<ProtocolObject<dyn MTLFence>>> {
            Some(ProtocolObject::from_retained(SoftFence::new()))
        }

        #[unsafe(method_id(newEvent))]
        fn newEvent(&self) -> Option<Retained<ProtocolObject<dyn MTLEvent>>> {
            Some(ProtocolObject::from_retained(SoftEvent::new()))
        }

        #[unsafe(method_id(newSharedEvent))]
        fn newSharedEvent(&self) -> Option<Retained<ProtocolObject<dyn MTLSharedEvent>>> {
            Some(ProtocolObject::from_retained(SoftSharedEvent::new()))
        }
    }

    impl SoftDevice {
        #[unsafe(method_id(newResidencySetWithDescriptor:error:))]
        fn new_residency_set(&self, _descriptor: &AnyObject, _error: *mut *mut NSError) -> Option<Retained<SoftResidency>> {
            Some(SoftResidency::new())
        }

        #[unsafe(method_id(architecture))]
        fn architecture(&self) -> Retained<SoftArchitecture> {
            make(())
        }

        #[unsafe(method(supportsFamily:))]
        fn supports_family(&self, _family: isize) -> bool {
            true
        }

        #[unsafe(method_id(newLibraryWithSource:options:error:))]
        fn new_library(&self, source: &NSString, options: Option<&AnyObject>, error: *mut *mut NSError) -> Option<Retained<SoftLibrary>> {
            counts::compiled(language(options));
            match SoftLibrary::new(&source.to_string()) {
                Ok(library) => Some(library),
                Err(text) => {
                    fail(error, LIBRARY_ERRORS, 3, &text);
                    None
                }
            }
        }

        #[unsafe(method_id(newComputePipelineStateWithFunction:error:))]
        fn new_pipeline(&self, function: &AnyObject, error: *mut *mut NSError) -> Option<Retained<SoftPipeline>> {
            match SoftPipeline::new(soft::<SoftFunction, _>(function)) {
                Ok(pipeline) => Some(pipeline),
                Err(text) => {
                    fail(error, LIBRARY_ERRORS, 3, &text);
                    None
                }
            }
        }
    }
);

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MTLArchitecture"]
    #[ivars = ()]
    pub struct SoftArchitecture;

    unsafe impl NSObjectProtocol for SoftArchitecture {}

    impl SoftArchitecture {
        #[unsafe(method_id(name))]
        fn name(&self) -> Retained<NSString> {
            NSString::from_str(&lock(&ARCHITECTURE))
        }
    }
);

/// An M1: what has the fewest special cases in candle.
static ARCHITECTURE: Mutex<&str> = Mutex::new("applegpu_g13g");

/// What the device says that it is, from now on; candle's choice of kernels depends on the last letter.
pub fn set_architecture(name: &'static str) {
    *lock(&ARCHITECTURE) = name;
}

/// The one device, with a reference for the caller.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn MTLCreateSystemDefaultDevice() -> *mut ProtocolObject<dyn MTLDevice> {
    static DEVICE: OnceLock<Shared<Retained<SoftDevice>>> = OnceLock::new();
    let device = DEVICE.get_or_init(|| Shared(make::<SoftDevice>(())));
    Retained::into_raw(ProtocolObject::from_retained(device.0.clone()))
}

pub fn install() {
    SoftDevice::class();
    SoftArchitecture::class();
}
