/* What differs between processors: the thread pointer, and a clone system call whose child starts on another stack.
 * x86-64 only so far; another architecture needs this file and nothing else. */
#ifndef CUMULET_ARCH_H
#define CUMULET_ARCH_H

#if !defined(__x86_64__)
#error "clones of live templates are built for x86-64 only"
#endif

struct thread;

static inline unsigned long thread_pointer(void) {
  unsigned long value;
  __asm__("mov %%fs:0x10,%0" : "=r"(value));
  return value;
}

/* The arguments of the raw clone call come in this order on x86-64: flags, stack, parent_tid, child_tid, tls. */
static inline long raw_clone(unsigned long flags, int *parent_tid, void *child_tid) {
  register void *r10 __asm__("r10") = child_tid;
  register unsigned long r8 __asm__("r8") = 0;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(56L), "D"(flags), "S"(0L), "d"(parent_tid), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

/* Starts a thread that calls entry(thread) on `stack` with the thread pointer `tls`; entry does not return. */
long thread_start(unsigned long flags, void *stack, int *child_tid, unsigned long tls, struct thread *thread,
                  void (*entry)(struct thread *));
__asm__(
    ".text\n.hidden thread_start\n.globl thread_start\n.type thread_start,@function\nthread_start:\n"
    "push %r12\n push %r13\n mov %r8,%r12\n mov %r9,%r13\n"
    "mov %rdx,%r10\n mov %rcx,%r8\n xor %edx,%edx\n mov $56,%eax\n syscall\n"
    "test %rax,%rax\n jnz 1f\n xor %ebp,%ebp\n mov %r12,%rdi\n call *%r13\n ud2\n"
    "1: pop %r13\n pop %r12\n ret\n.size thread_start,.-thread_start\n");

/* Where a signal handler returns to; SA_RESTORER of <asm/signal.h>. */
#define RESTORER_FLAG 0x04000000ul
void signal_return(void);
__asm__(".text\n.hidden signal_return\n.globl signal_return\n.type signal_return,@function\nsignal_return:\n"
        "mov $15,%eax\n syscall\n.size signal_return,.-signal_return\n");

#endif
