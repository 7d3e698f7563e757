//! `MTLLibrary`, `MTLFunction`, `MTLFunctionConstantValues` and `MTLComputePipelineState`.

use crate::counts::Language;
use crate::device::MAX_THREADS;
use crate::foundation::fail;
use crate::gpu::lock;
use crate::msl::{self, Kernel, Kind, Param, Unit};
use crate::object::{make, soft};
use objc2::rc::{Allocated, Retained};
use objc2::runtime::{AnyObject, NSObject};
use objc2::{ClassType, DefinedClass, Message, define_class, msg_send};
use objc2_foundation::{NSError, NSObjectProtocol, NSString};
use objc2_metal::MTLDataType;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

/// Threads of a SIMD group.
const WIDTH: usize = 32;

/// Index and bytes.
pub type Constant = (usize, Vec<u8>);

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftLibrary"]
    #[ivars = Arc<Unit>]
    pub struct SoftLibrary;

    unsafe impl NSObjectProtocol for SoftLibrary {}

    impl SoftLibrary {
        #[unsafe(method_id(newFunctionWithName:))]
        fn new_function(&self, name: &NSString) -> Option<Retained<SoftFunction>> {
            self.find(name, vec![])
        }

        #[unsafe(method_id(newFunctionWithName:constantValues:error:))]
        fn new_function_constants(&self, name: &NSString, values: &AnyObject, error: *mut *mut NSError) -> Option<Retained<SoftFunction>> {
            let values = lock(soft::<SoftConstants, _>(values).ivars()).clone();
            let function = self.find(name, values);
            if function.is_none() {
                fail(error, "MTLLibraryErrorDomain", 5, &format!("no function {name}"));
            }
            function
        }
    }
);

impl SoftLibrary {
    /// Preprocessed and rewritten; the C++ compiler runs when the first pipeline is made.
    pub fn new(source: &str) -> Result<Retained<Self>, String> {
        Ok(make(msl::parse(source)?))
    }

    fn find(&self, name: &NSString, constants: Vec<Constant>) -> Option<Retained<SoftFunction>> {
        let name = name.to_string();
        self.ivars().kernels.contains_key(&name).then(|| make(Function { name, library: self.retain(), constants }))
    }
}

pub struct Function {
    pub name: String,
    library: Retained<SoftLibrary>,
    constants: Vec<Constant>,
}

impl Function {
    /// The file of its library in CUDA C++, where launches are written.
    pub fn cuda(&self) -> Option<&str> {
        self.library.ivars().cuda.as_deref()
    }

    fn kernel(&self) -> &Kernel {
        &self.library.ivars().kernels[&self.name]
    }

    /// Those that a function constant switches off are absent, whatever is bound there by an earlier dispatch.
    fn params(&self) -> Vec<Param> {
        let mut params = self.kernel().params.clone();
        for p in &mut params {
            if p.switch.as_ref().is_some_and(|name| !self.is_on(name)) {
                p.kind = Kind::Absent;
            }
        }
        params
    }

    /// A constant that is computed from others is taken to be on.
    fn is_on(&self, constant: &str) -> bool {
        let Some(number) = self.library.ivars().constants.get(constant) else { return true };
        let value = self.constants.iter().rev().find(|(index, _)| index == number);
        value.is_none_or(|(_, bytes)| bytes.iter().any(|b| *b != 0))
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftFunction"]
    #[ivars = Function]
    pub struct SoftFunction;

    unsafe impl NSObjectProtocol for SoftFunction {}

    impl SoftFunction {
        #[unsafe(method_id(name))]
        fn name(&self) -> Retained<NSString> {
            NSString::from_str(&self.ivars().name)
        }
    }
);

pub struct Pipeline {
    function: Retained<SoftFunction>,
    params: Vec<Param>,
    entry: usize,
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftComputePipelineState"]
    #[ivars = Pipeline]
    pub struct SoftPipeline;

    unsafe impl NSObjectProtocol for SoftPipeline {}

    impl SoftPipeline {
        #[unsafe(method(maxTotalThreadsPerThreadgroup))]
        fn max_threads(&self) -> usize {
            MAX_THREADS
        }

        #[unsafe(method(threadExecutionWidth))]
        fn width(&self) -> usize {
            WIDTH
        }

        #[unsafe(method(staticThreadgroupMemoryLength))]
        fn static_memory(&self) -> usize {
            0
        }
    }
);

impl SoftPipeline {
    pub fn new(function: &SoftFunction) -> Result<Retained<Self>, String> {
        let f = function.ivars();
        let entry = msl::load(f.library.ivars(), f.kernel(), &f.constants)?;
        Ok(make(Pipeline { function: function.retain(), params: f.params(), entry }))
    }

    pub fn function(&self) -> &Function {
        self.ivars().function.ivars()
    }

    /// The parameters that the kernel has, specialised as it is.
    pub fn params(&self) -> &[Param] {
        &self.ivars().params
    }

    /// Address of the compiled kernel.
    pub fn entry(&self) -> usize {
        self.ivars().entry
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MTLFunctionConstantValues"]
    #[ivars = Mutex<Vec<Constant>>]
    pub struct SoftConstants;

    unsafe impl NSObjectProtocol for SoftConstants {}

    impl SoftConstants {
        #[unsafe(method_id(init))]
        fn init(this: Allocated<Self>) -> Option<Retained<Self>> {
            let this = this.set_ivars(Mutex::default());
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method(setConstantValue:type:atIndex:))]
        fn set(&self, value: NonNull<c_void>, kind: MTLDataType, index: usize) {
            let n = match kind {
                MTLDataType::Bool | MTLDataType::UChar | MTLDataType::Char => 1,
                MTLDataType::UShort | MTLDataType::Short | MTLDataType::Half => 2,
                MTLDataType::Float | MTLDataType::UInt | MTLDataType::Int => 4,
                _ => 8,
            };
            let bytes = unsafe { std::slice::from_raw_parts(value.as_ptr() as *const u8, n) };
            lock(self.ivars()).push((index, bytes.to_vec()));
        }
    }
);

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MTLCompileOptions"]
    #[ivars = Mutex<Option<Language>>]
    pub struct SoftCompileOptions;

    unsafe impl NSObjectProtocol for SoftCompileOptions {}

    /// Accepted, and without effect: the C++ compiler never relaxes floating point. The language's version is counted.
    impl SoftCompileOptions {
        #[unsafe(method_id(init))]
        fn init(this: Allocated<Self>) -> Option<Retained<Self>> {
            let this = this.set_ivars(Mutex::default());
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method(setFastMathEnabled:))]
        fn set_fast_math(&self, _on: bool) {}

        #[unsafe(method(setMathMode:))]
        fn set_math_mode(&self, _mode: objc2_metal::MTLMathMode) {}

        #[unsafe(method(setMathFloatingPointFunctions:))]
        fn set_functions(&self, _functions: objc2_metal::MTLMathFloatingPointFunctions) {}

        #[unsafe(method(setLanguageVersion:))]
        fn set_language_version(&self, version: objc2_metal::MTLLanguageVersion) {
            *lock(self.ivars()) = Some((version.0 >> 16, version.0 & 0xffff));
        }
    }
);

/// The language's version that a library is asked for with these options.
pub fn language(options: Option<&AnyObject>) -> Option<Language> {
    *lock(soft::<SoftCompileOptions, _>(options?).ivars())
}

pub fn install() {
    SoftLibrary::class();
    SoftFunction::class();
    SoftPipeline::class();
    SoftConstants::class();
    SoftCompileOptions::class();
}
