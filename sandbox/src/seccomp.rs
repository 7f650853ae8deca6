//! The system call filter of every instance, as a classic BPF program: what would widen the kernel's attack surface or
//! loosen the sandbox is refused, all else is allowed. Pure: `child` installs the program.
//! The refused calls are those that container runtimes refuse, and some more; see docs/guide/isolation.md.

use libc::c_long;

/// The kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const fn refuse(errno: i32) -> u32 {
    0x0005_0000 | errno as u32
}

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
/// Lower half of an argument; both supported architectures are little endian.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Calls newer than this (`mseal`) are unknown to this list and answered as by an older kernel.
const NEWEST: u32 = 462;

/// With AF_INET the kernel takes this obsolete type for a packet socket.
const SOCK_PACKET: u32 = 10;

/// Every `CLONE_NEW*` flag.
const NAMESPACES: u32 = 0x7e02_0000 | 0x80;

/// Calls above 423 have one number on every architecture; libc lacks some of them.
const COMMON: &[c_long] = &[
    428, // open_tree
    429, // move_mount
    430, // fsopen
    431, // fsconfig
    432, // fsmount
    433, // fspick
    438, // pidfd_getfd
    440, // process_madvise
    442, // mount_setattr
    443, // quotactl_fd
    447, // memfd_secret
    457, // statmount
    458, // listmount
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
];

#[cfg(target_arch = "x86_64")]
const OF_ARCH: &[c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(target_arch = "aarch64")]
const OF_ARCH: &[c_long] = &[294]; // kexec_file_load

/// Answered as by a kernel without them, so that libraries fall back: io_uring passes by this filter, and the flags of
/// clone3 lie in memory where a filter cannot look.
const ABSENT: &[c_long] = &[
    425, // io_uring_setup
    426, // io_uring_enter
    427, // io_uring_register
    435, // clone3
];

const fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// A block that runs for one call only and always returns.
fn for_call(program: &mut Vec<Instruction>, number: c_long, block: &[Instruction]) {
    program.push(jump(EQUAL, number as u32, 0, block.len() as u8));
    program.extend_from_slice(block);
}

/// Whom a filter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Instance,
    /// May also make clones of itself in new namespaces; each clone gets the instance's filter on top.
    Template,
}

/// The namespaces that a clone of a template is made in.
const CLONE_NAMESPACES: u32 =
    (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNET) as u32;

/// The whole filter.
pub(crate) fn program(of: Of) -> Vec<Instruction> {
    let eperm = statement(RETURN, refuse(libc::EPERM));
    let enosys = statement(RETURN, refuse(libc::ENOSYS));
    let allow = statement(RETURN, ALLOW);
    let mut program = vec![
        statement(LOAD, OFFSET_ARCH),
        jump(EQUAL, ARCH, 1, 0),
        statement(RETURN, KILL),
        statement(LOAD, OFFSET_NUMBER),
        // Also takes x86's x32 numbers, which have bit 30 set.
        jump(AT_LEAST, NEWEST + 1, 0, 1),
        enosys,
    ];
    for number in COMMON.iter().chain(OF_ARCH) {
        for_call(&mut program, *number, &[eperm]);
    }
    for number in ABSENT {
        for_call(&mut program, *number, &[enosys]);
    }
    for number in [libc::SYS_clone, libc::SYS_unshare] {
        let refused = match (number, of) {
            (libc::SYS_clone, Of::Template) => NAMESPACES & !0xff & !CLONE_NAMESPACES,
            // The low byte of clone's flags is the exit signal, so CLONE_NEWTIME can only be asked of unshare.
            (libc::SYS_clone, Of::Instance) => NAMESPACES & !0xff,
            _ => NAMESPACES,
        };
        for_call(&mut program, number, &[statement(LOAD, argument(0)), jump(ANY_BIT, refused, 0, 1), eperm, allow]);
    }
    for_call(&mut program, libc::SYS_socket, &socket_rules());
    for_call(
        &mut program,
        libc::SYS_ioctl,
        &[
            statement(LOAD, argument(1)),
            jump(EQUAL, 0x5412, 1, 0), // TIOCSTI
            jump(EQUAL, 0x541c, 0, 1), // TIOCLINUX
            eperm,
            allow,
        ],
    );
    for_call(
        &mut program,
        libc::SYS_prctl,
        &[
            // The death signal ties the instance to the platform; the instance may not loosen it.
            statement(LOAD, argument(0)),
            jump(EQUAL, libc::PR_SET_PDEATHSIG as u32, 0, 1),
            eperm,
            allow,
        ],
    );
    for_call(
        &mut program,
        libc::SYS_personality,
        &[statement(LOAD, argument(0)), jump(EQUAL, 0, 1, 0), jump(EQUAL, 0xffff_ffff, 0, 1), allow, eperm],
    );
    program.push(allow);
    program
}

/// Unix and internet sockets, and netlink for the routing table that name resolution reads; none of them raw.
fn socket_rules() -> Vec<Instruction> {
    vec![
        statement(LOAD, argument(0)),
        jump(EQUAL, libc::AF_UNIX as u32, 9, 0),
        jump(EQUAL, libc::AF_INET as u32, 4, 0),
        jump(EQUAL, libc::AF_INET6 as u32, 3, 0),
        jump(EQUAL, libc::AF_NETLINK as u32, 0, 7),
        statement(LOAD, argument(2)),
        jump(EQUAL, libc::NETLINK_ROUTE as u32, 4, 5),
        statement(LOAD, argument(1)),
        statement(AND, 0xf),
        jump(EQUAL, libc::SOCK_RAW as u32, 3, 0),
        jump(EQUAL, SOCK_PACKET, 2, 0),
        statement(RETURN, ALLOW),
        statement(RETURN, refuse(libc::EAFNOSUPPORT)),
        statement(RETURN, refuse(libc::EPERM)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer: the value of the program's return.
    fn run(number: c_long, arguments: [u64; 3]) -> u32 {
        run_of(Of::Instance, number, arguments)
    }

    fn run_of(of: Of, number: c_long, arguments: [u64; 3]) -> u32 {
        let program = program(of);
        let mut data = Vec::new();
        data.extend((number as u32).to_le_bytes());
        data.extend(ARCH.to_le_bytes());
        data.extend(0u64.to_le_bytes());
        for value in arguments {
            data.extend(value.to_le_bytes());
        }
        let (mut at, mut acc) = (0usize, 0u32);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let taken = match code {
                LOAD => {
                    let bytes = &data[k as usize..k as usize + 4];
                    acc = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                    continue;
                }
                AND => {
                    acc &= k;
                    continue;
                }
                RETURN => return k,
                EQUAL => acc == k,
                AT_LEAST => acc >= k,
                ANY_BIT => acc & k != 0,
                other => panic!("unknown instruction {other}"),
            };
            at += usize::from(if taken { jt } else { jf });
        }
    }

    #[test]
    fn calls() {
        let eperm = refuse(libc::EPERM);
        let enosys = refuse(libc::ENOSYS);
        let family = refuse(libc::EAFNOSUPPORT);
        let inet = libc::AF_INET as u64;
        let netlink = libc::AF_NETLINK as u64;
        let raw = libc::SOCK_RAW as u64;
        let stream = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64;
        for (number, arguments, expect) in [
            (libc::SYS_read, [0, 0, 0], ALLOW),
            (libc::SYS_execve, [0, 0, 0], ALLOW),
            (libc::SYS_ptrace, [0, 0, 0], eperm),
            (libc::SYS_mount, [0, 0, 0], eperm),
            (libc::SYS_set_mempolicy, [0, 0, 0], eperm),
            (libc::SYS_io_uring_setup, [0, 0, 0], enosys),
            (libc::SYS_clone3, [0, 0, 0], enosys),
            (0x4000_0000, [0, 0, 0], enosys),
            (463, [0, 0, 0], enosys),
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0], ALLOW),
            (libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0], eperm),
            (libc::SYS_unshare, [libc::CLONE_NEWNS as u64, 0, 0], eperm),
            (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0], ALLOW),
            (libc::SYS_unshare, [0x80, 0, 0], eperm),
            (libc::SYS_socket, [inet, stream, 0], ALLOW),
            (libc::SYS_socket, [inet, raw, 0], eperm),
            (libc::SYS_socket, [inet, 10, 0], eperm),
            (libc::SYS_socket, [inet, raw | libc::SOCK_CLOEXEC as u64, 1], eperm),
            (libc::SYS_socket, [libc::AF_INET6 as u64, libc::SOCK_DGRAM as u64, 0], ALLOW),
            (libc::SYS_socket, [libc::AF_INET6 as u64, raw, 58], eperm),
            (libc::SYS_socket, [libc::AF_UNIX as u64, stream, 0], ALLOW),
            (libc::SYS_socket, [netlink, raw, 0], ALLOW),
            (libc::SYS_socket, [netlink, raw, 9], family),
            (libc::SYS_socket, [libc::AF_PACKET as u64, raw, 0], family),
            (libc::SYS_socket, [libc::AF_VSOCK as u64, stream, 0], family),
            (libc::SYS_socket, [38, 5, 0], family),
            (libc::SYS_ioctl, [0, 0x5412, 0], eperm),
            (libc::SYS_ioctl, [0, 0x541c, 0], eperm),
            (libc::SYS_ioctl, [0, 0x5413, 0], ALLOW),
            (libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as u64, 0, 0], eperm),
            (libc::SYS_prctl, [libc::PR_SET_NAME as u64, 0, 0], ALLOW),
            (libc::SYS_personality, [0xffff_ffff, 0, 0], ALLOW),
            (libc::SYS_personality, [0x0040_0000, 0, 0], eperm),
        ] {
            assert_eq!(run(number, arguments), expect, "call {number} {arguments:?}");
        }
    }

    #[test]
    fn a_template_may_clone_and_nothing_else() {
        let flags = |flags: i32| [flags as u64 | libc::SIGCHLD as u64, 0, 0];
        let eperm = refuse(libc::EPERM);
        for (number, arguments, expect) in [
            (libc::SYS_clone, flags(libc::CLONE_NEWPID | libc::CLONE_NEWNS), ALLOW),
            (libc::SYS_clone, flags(libc::CLONE_NEWPID | libc::CLONE_NEWUSER), eperm),
            (libc::SYS_clone, flags(libc::CLONE_NEWPID | libc::CLONE_NEWNET), ALLOW),
            (libc::SYS_unshare, flags(libc::CLONE_NEWNET), eperm),
            (libc::SYS_unshare, flags(libc::CLONE_NEWNS), eperm),
            (libc::SYS_mount, [0, 0, 0], eperm),
            (libc::SYS_setns, [0, 0, 0], eperm),
            (libc::SYS_clone3, [0, 0, 0], refuse(libc::ENOSYS)),
        ] {
            assert_eq!(run_of(Of::Template, number, arguments), expect, "call {number} {arguments:?}");
        }
    }

    #[test]
    fn every_jump_lands_inside_and_the_kernel_takes_the_length() {
        let program = program(Of::Template);
        assert!(program.len() < 4096);
        for (at, instruction) in program.iter().enumerate() {
            if instruction.code & 7 == 5 {
                let far = at + 1 + usize::from(instruction.jt.max(instruction.jf));
                assert!(far < program.len(), "{at}");
            }
        }
    }
}
