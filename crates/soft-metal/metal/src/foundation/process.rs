//! `NSProcessInfo`: which version of macOS this would be.

use crate::object::make;
use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{ClassType, define_class};
use objc2_foundation::{NSObjectProtocol, NSOperatingSystemVersion, NSString};

/// The first that has every class and method that is here.
const VERSION: NSOperatingSystemVersion =
    NSOperatingSystemVersion { majorVersion: 15, minorVersion: 0, patchVersion: 0 };

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "NSProcessInfo"]
    #[ivars = ()]
    pub struct SoftProcessInfo;

    unsafe impl NSObjectProtocol for SoftProcessInfo {}

    impl SoftProcessInfo {
        #[unsafe(method_id(processInfo))]
        fn process_info() -> Retained<Self> {
            make(())
        }

        #[unsafe(method(operatingSystemVersion))]
        fn operating_system_version(&self) -> NSOperatingSystemVersion {
            VERSION
        }

        #[unsafe(method_id(operatingSystemVersionString))]
        fn operating_system_version_string(&self) -> Retained<NSString> {
            NSString::from_str("Version 15.0 (software Metal)")
        }
    }
);

pub fn install() {
    SoftProcessInfo::class();
}
