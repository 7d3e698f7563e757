//! What an object becomes when it is deallocated: an instance of a class that answers to nothing, so that any use of it
//! is reported with the name of what it was.

use crate::prelude::*;

const PREFIX: &str = "_NSZombie_";

/// The last so many deallocated objects keep their memory; a message to an older one is not recognised any more.
const QUARANTINE: usize = 1 << 16;

static ZOMBIES: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Default::default);
static DEAD: Mutex<VecDeque<usize>> = Mutex::new(VecDeque::new());

/// Turns `o` into a zombie; its memory is given back much later.
pub(crate) unsafe fn bury(o: Id) {
    (*o).isa.store(zombie_of(isa_of(o)), SeqCst);
    let mut dead = DEAD.lock().unwrap();
    dead.push_back(o as usize);
    if dead.len() > QUARANTINE
        && let Some(oldest) = dead.pop_front()
    {
        free(oldest as Id);
    }
}

unsafe fn zombie_of(c: *const Class) -> *mut Class {
    *ZOMBIES.lock().unwrap().entry(c as usize).or_insert_with(|| {
        let name = CString::new(format!("{PREFIX}{}", cname(c))).unwrap();
        let meta = new_class(&name, null(), null_mut(), true);
        (*meta).isa.store(meta, SeqCst);
        new_class(&name, null(), meta, false) as usize
    }) as *mut Class
}

/// Panics if `o` has been deallocated; `what` is being done to it.
pub(crate) unsafe fn check_alive(o: Id, what: &str) {
    if let Some(class) = was(isa_of(o)) {
        panic!("Metal rule broken (use after release): {what} of deallocated {class} {o:p}");
    }
}

/// The class that instances of `c` had before they were deallocated.
pub(crate) unsafe fn was(c: *const Class) -> Option<String> {
    if !(*c).superclass.is_null() {
        return None;
    }
    cname(c).strip_prefix(PREFIX).map(String::from)
}
