//! `MTLBuffer`.

use crate::counts;
use crate::device::SoftDevice;
use crate::gpu::order;
use crate::memory::Memory;
use crate::object::{Name, make};
use crate::rules::{Rule, broken, report, warn};
use objc2::rc::Retained;
use objc2::runtime::{NSObject, ProtocolObject};
use objc2::{ClassType, DefinedClass, Message, define_class};
use objc2_foundation::{NSObjectProtocol, NSRange, NSString};
use objc2_metal::{
    MTLAllocation, MTLBuffer, MTLCPUCacheMode, MTLDevice, MTLHazardTrackingMode, MTLResource, MTLResourceOptions,
    MTLStorageMode,
};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Bytes of all live buffers.
pub static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

pub struct Ivars {
    device: Retained<SoftDevice>,
    pub name: Name,
    memory: Memory,
    pub len: usize,
    options: MTLResourceOptions,
    /// Something has been written to it: by the GPU, or by the host through `contents`.
    pub written: AtomicBool,
}

impl Drop for Ivars {
    fn drop(&mut self) {
        if self.memory.overrun() {
            report(Rule::KernelOutOfBounds, &self.name, "written past its end");
        }
        order::forget(self.address());
        ALLOCATED.fetch_sub(self.len, SeqCst);
    }
}

impl Ivars {
    pub fn address(&self) -> usize {
        self.memory.pointer() as usize
    }

    /// Metal orders the passes that use it by itself.
    pub fn tracked(&self) -> bool {
        !self.options.contains(MTLResourceOptions::HazardTrackingModeUntracked)
    }

    fn private(&self) -> bool {
        self.options.contains(MTLResourceOptions::StorageModePrivate)
    }

    /// Breaks a rule unless the range lies inside.
    pub fn check_range(&self, offset: usize, len: usize, what: &str) {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            let end = offset.saturating_add(len);
            broken(Rule::BufferRange, &self.name, format!("{what}: bytes {offset}..{end} of {}", self.len));
        }
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftBuffer"]
    #[ivars = Ivars]
    pub struct SoftBuffer;

    unsafe impl NSObjectProtocol for SoftBuffer {}

    unsafe impl MTLAllocation for SoftBuffer {
        #[unsafe(method(allocatedSize))]
        fn allocatedSize(&self) -> usize {
            self.ivars().memory.pages()
        }
    }

    unsafe impl MTLResource for SoftBuffer {
        #[unsafe(method_id(label))]
        fn label(&self) -> Option<Retained<NSString>> {
            self.ivars().name.label()
        }

        #[unsafe(method(setLabel:))]
        fn setLabel(&self, label: Option<&NSString>) {
            self.ivars().name.set_label(label);
        }

        #[unsafe(method_id(device))]
        fn device(&self) -> Retained<ProtocolObject<dyn MTLDevice>> {
            ProtocolObject::from_retained(self.ivars().device.clone())
        }

        #[unsafe(method(storageMode))]
        fn storageMode(&self) -> MTLStorageMode {
            if self.ivars().private() { MTLStorageMode::Private } else { MTLStorageMode::Shared }
        }

        #[unsafe(method(cpuCacheMode))]
        fn cpuCacheMode(&self) -> MTLCPUCacheMode {
            MTLCPUCacheMode::DefaultCache
        }

        #[unsafe(method(hazardTrackingMode))]
        fn hazardTrackingMode(&self) -> MTLHazardTrackingMode {
            if self.ivars().tracked() { MTLHazardTrackingMode::Tracked } else { MTLHazardTrackingMode::Untracked }
        }

        #[unsafe(method(resourceOptions))]
        fn resourceOptions(&self) -> MTLResourceOptions {
            self.ivars().options
        }
    }

    unsafe impl MTLBuffer for SoftBuffer {
        #[unsafe(method(length))]
        fn length(&self) -> usize {
            self.ivars().len
        }

        #[unsafe(method(contents))]
        fn contents(&self) -> NonNull<c_void> {
            let v = self.ivars();
            if v.private() {
                broken(Rule::PrivateContents, &v.name, "contents");
            }
            order::host_touches(self);
            v.written.store(true, SeqCst); // the host may fill it through this pointer
            NonNull::new(v.memory.pointer().cast()).expect("mapped memory")
        }

        #[unsafe(method(didModifyRange:))]
        fn didModifyRange(&self, range: NSRange) {
            self.ivars().check_range(range.location, range.length, "didModifyRange:");
        }
    }
);

impl SoftBuffer {
    pub fn new(device: &SoftDevice, len: usize, options: MTLResourceOptions) -> Retained<Self> {
        let name = Name::new("buffer");
        if len == 0 {
            warn(format!("{name}: a buffer of 0 bytes"));
        }
        ALLOCATED.fetch_add(len, SeqCst);
        counts::made_buffer(len);
        let memory = Memory::new(len, name.to_string());
        make(Ivars { device: device.retain(), name, memory, len, options, written: AtomicBool::new(false) })
    }

    /// With the host's bytes in it, which private memory cannot be made with.
    pub fn with_bytes(device: &SoftDevice, bytes: &[u8], options: MTLResourceOptions) -> Retained<Self> {
        let buffer = Self::new(device, bytes.len(), options);
        let v = buffer.ivars();
        if v.private() {
            broken(Rule::PrivateContents, &v.name, "newBufferWithBytes:");
        }
        // SAFETY: new memory of this length, known to nobody else.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), v.memory.pointer(), bytes.len()) };
        v.written.store(true, SeqCst);
        buffer
    }
}

pub fn install() {
    SoftBuffer::class();
}
