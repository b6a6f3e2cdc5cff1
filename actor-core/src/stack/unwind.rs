//! From copied bytes to names of functions.
//!
//! The unwind tables are those of the modules that are loaded (`dl_iterate_phdr`), copied once and again only when the
//! loader has loaded or unloaded something since. Names come from the program's symbols by the crate `backtrace`; the
//! first time it reads them, which takes some tens of milliseconds for a large program.

use std::sync::{Mutex, PoisonError};

use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder};

use super::{StackFrame, ThreadStack};

#[cfg(target_arch = "x86_64")]
use framehop::x86_64 as arch;

#[cfg(target_arch = "aarch64")]
use framehop::aarch64 as arch;

#[cfg(target_arch = "x86_64")]
type Walker = arch::UnwinderX86_64<Vec<u8>>;
#[cfg(target_arch = "x86_64")]
type Cache = arch::CacheX86_64;
#[cfg(target_arch = "aarch64")]
type Walker = arch::UnwinderAarch64<Vec<u8>>;
#[cfg(target_arch = "aarch64")]
type Cache = arch::CacheAarch64;

/// Functions in a stack.
const FRAMES_MAX: usize = 128;

/// What stands below the handlers: of no interest to who asks what a handler does.
const RUNTIME: [&str; 2] = ["actor_core::cell::turn::", "actor_core::context::harness::"];

/// The tables, and how often the loader had loaded and unloaded when they were copied.
struct Tables {
    loads: (u64, u64),
    walker: Walker,
}

static TABLES: Mutex<Option<Tables>> = Mutex::new(None);

/// How much of a stack is copied.
pub(super) const COPY_BYTES: usize = 256 << 10;

/// What a thread has copied.
pub(super) struct Copy {
    pub(super) registers: Registers,
    /// The address of the first byte.
    pub(super) from: usize,
    pub(super) len: usize,
    pub(super) bytes: [u8; COPY_BYTES],
}

/// The registers from which a walk begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) frame: u64,
    #[cfg(target_arch = "aarch64")]
    pub(super) link: u64,
}

/// The functions that a thread was in.
pub(super) fn walk(copy: &Copy) -> Option<ThreadStack> {
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let now = loads();
    if tables.as_ref().is_none_or(|tables| tables.loads != now) {
        *tables = Some(Tables {
            loads: now,
            walker: walker(),
        });
    }
    let walker = &tables.as_ref()?.walker;
    let mut read = |address: u64| word(copy, address).ok_or(());
    let mut cache = Cache::new();
    let mut frames = walker.iter_frames(
        copy.registers.instruction,
        from(&copy.registers),
        &mut cache,
        &mut read,
    );
    let mut addresses = Vec::new();
    let is_cut = loop {
        match frames.next() {
            Ok(Some(address)) if addresses.len() < FRAMES_MAX => addresses.push(address),
            Ok(Some(_)) | Err(_) => break true,
            Ok(None) => break false,
        }
    };
    drop(tables);
    Some(named(&addresses, is_cut))
}

#[cfg(target_arch = "x86_64")]
fn from(registers: &Registers) -> arch::UnwindRegsX86_64 {
    arch::UnwindRegsX86_64::new(registers.instruction, registers.stack, registers.frame)
}

#[cfg(target_arch = "aarch64")]
fn from(registers: &Registers) -> arch::UnwindRegsAarch64 {
    arch::UnwindRegsAarch64::new(registers.link, registers.stack, registers.frame)
}

/// The word at an address of the stack.
fn word(copy: &Copy, address: u64) -> Option<u64> {
    let at = usize::try_from(address).ok()?.checked_sub(copy.from)?;
    let bytes = copy.bytes[..copy.len].get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// Down to the runtime's own functions, which all handlers stand on.
fn named(addresses: &[FrameAddress], is_cut: bool) -> ThreadStack {
    let mut stack = ThreadStack {
        frames: Vec::new(),
        is_cut,
    };
    for address in addresses {
        let lookup = address.address_for_lookup();
        let before = stack.frames.len();
        let mut is_ours = false;
        // Once for each function that was inlined there, innermost first.
        backtrace::resolve(lookup as *mut std::ffi::c_void, |symbol| {
            let Some(name) = symbol.name() else { return };
            // `#`: without the hash.
            let function = format!("{name:#}");
            is_ours |= RUNTIME.iter().any(|ours| function.contains(ours));
            if !is_ours {
                let file = symbol.filename().map(std::path::Path::to_path_buf);
                stack.frames.push(StackFrame {
                    function,
                    location: file.zip(symbol.lineno()),
                });
            }
        });
        if stack.frames.len() > FRAMES_MAX {
            stack.frames.truncate(FRAMES_MAX);
            stack.is_cut = true;
            break;
        }
        if is_ours && !stack.frames.is_empty() {
            stack.is_cut = false;
            break;
        }
        if !is_ours && stack.frames.len() == before {
            stack.frames.push(StackFrame {
                function: format!("{lookup:#x}"),
                location: None,
            });
        }
    }
    stack
}

/// How often the loader has loaded and unloaded something.
fn loads() -> (u64, u64) {
    let mut loads = (0, 0);
    each_module(&mut |module| {
        loads = (module.dlpi_adds, module.dlpi_subs);
        false
    });
    loads
}

fn walker() -> Walker {
    let mut walker = Walker::new();
    each_module(&mut |module| {
        // SAFETY: the loader's own description of a module, which stays loaded while it is shown.
        if let Some(module) = unsafe { tables_of(module) } {
            walker.add_module(module);
        }
        true
    });
    walker
}

/// Shows every loaded module, until `show` says that it has seen enough.
fn each_module(show: &mut dyn FnMut(&libc::dl_phdr_info) -> bool) {
    unsafe extern "C" fn next(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        show: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: what `each_module` passed, and what the loader shows; neither outlives the call.
        let (show, info) = unsafe {
            (
                &mut *show.cast::<&mut dyn FnMut(&libc::dl_phdr_info) -> bool>(),
                &*info,
            )
        };
        libc::c_int::from(!show(info))
    }
    let mut show = show;
    // SAFETY: `next` takes what it is given here.
    unsafe { libc::dl_iterate_phdr(Some(next), (&raw mut show).cast()) };
}

/// The unwind tables of a module: `.eh_frame_hdr` by its segment, and `.eh_frame`, to which it points.
///
/// # Safety
///
/// The module is loaded.
unsafe fn tables_of(info: &libc::dl_phdr_info) -> Option<Module<Vec<u8>>> {
    // SAFETY: as many headers as the loader says.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let base = info.dlpi_addr;
    let code = || {
        headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
    };
    let addresses = code().map(|header| header.p_vaddr).min()?
        ..code().map(|header| header.p_vaddr + header.p_memsz).max()?;
    let index = headers
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?;
    let index_range = index.p_vaddr..index.p_vaddr.checked_add(index.p_memsz)?;
    // SAFETY: by the caller; segments of a loaded module are mapped.
    let index_bytes = unsafe { bytes(base, &index_range) };
    // Version 1, and the pointer to `.eh_frame` as four bytes relative to itself: what every linker writes.
    let pointer: [u8; 4] = match index_bytes.get(..8)? {
        [1, 0x1b, _, _, pointer @ ..] => pointer.try_into().ok()?,
        _ => return None,
    };
    let frames_at =
        (index_range.start + 4).checked_add_signed(i64::from(i32::from_ne_bytes(pointer)))?;
    let holds = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD
            && (header.p_vaddr..header.p_vaddr + header.p_filesz).contains(&frames_at)
    };
    let segment = headers.iter().find(holds)?;
    // Its length stands nowhere; a zero ends it.
    let frames_range = frames_at..segment.p_vaddr + segment.p_filesz;
    // SAFETY: as above.
    let frames_bytes = unsafe { bytes(base, &frames_range) };
    Some(Module::new(
        String::new(),
        base + addresses.start..base + addresses.end,
        base,
        ExplicitModuleSectionInfo {
            text_svma: Some(addresses),
            eh_frame_svma: Some(frames_range),
            eh_frame: Some(frames_bytes),
            eh_frame_hdr_svma: Some(index_range),
            eh_frame_hdr: Some(index_bytes),
            ..Default::default()
        },
    ))
}

/// A copy, since the module may be unloaded later.
///
/// # Safety
///
/// The range is mapped for reading.
unsafe fn bytes(base: u64, range: &std::ops::Range<u64>) -> Vec<u8> {
    let at = std::ptr::with_exposed_provenance((base + range.start) as usize);
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(at, (range.end - range.start) as usize) }.to_vec()
}
