// SPDX-License-Identifier: GPL-2.0
/* Does the worst a module can do to its kernel and to who runs it; which, and where from, by name. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kmod.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/reboot.h>
#include <linux/rtnetlink.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <asm/desc.h>
#include <asm/msr.h>

static char *how = "nothing";
module_param(how, charp, 0444);
static char *where = "init";
module_param(where, charp, 0444);
static int result;
module_param(result, int, 0444);

static void act(void);

static DECLARE_COMPLETION(never);
static DEFINE_MUTEX(mutex);
static DEFINE_SPINLOCK(lock);
static struct hrtimer storm;

static int noinline recurse(int depth)
{
	volatile char frame[512];

	frame[0] = depth;
	return depth > 100000000 ? 0 : recurse(depth + 1) + frame[0];
}

static int endless_thread(void *unused)
{
	for (;;)
		msleep(10);
	return 0;
}

static int printing_thread(void *unused)
{
	for (;;) {
		pr_info("hostile: again and again\n");
		cond_resched();
	}
	return 0;
}

static void printing_timer_ran(struct timer_list *timer)
{
	int i;

	for (i = 0; i < 100; i++)
		pr_info("hostile: from the timer\n");
	mod_timer(timer, jiffies + 1);
}
static DEFINE_TIMER(printing_timer, printing_timer_ran);

static enum hrtimer_restart storm_ran(struct hrtimer *timer)
{
	hrtimer_forward_now(timer, ns_to_ktime(1));
	return HRTIMER_RESTART;
}

static void tasklet_ran(struct tasklet_struct *tasklet)
{
	tasklet_schedule(tasklet);
}
static DECLARE_TASKLET(again, tasklet_ran);

static void work_ran(struct work_struct *work)
{
	schedule_work(work);
}
static DECLARE_WORK(endless_work, work_ran);

static const struct proc_ops no_ops = { };

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hostile\x1b[31m\n[red]device[/red]",
	.nodename = "hostile\x1b]0;owned\x07",
};

static int show_escapes(char *buffer, const struct kernel_param *param)
{
	return sprintf(buffer, "\x1b[2J\x1b]0;owned\x07[bold red]value[/]\r\n\xff\xfe");
}

static int show_too_much(char *buffer, const struct kernel_param *param)
{
	memset(buffer, 'x', PAGE_SIZE);
	return strcmp(how, "show_too_much") ? 1 : 0x7fffffff;
}

static int show_for_ever(char *buffer, const struct kernel_param *param)
{
	if (!strcmp(how, "show_for_ever"))
		for (;;)
			barrier();
	return 1;
}

static const struct kernel_param_ops escapes_ops = { .get = show_escapes };
static const struct kernel_param_ops too_much_ops = { .get = show_too_much };
static const struct kernel_param_ops for_ever_ops = { .get = show_for_ever };
module_param_cb(escapes, &escapes_ops, NULL, 0444);
module_param_cb(too_much, &too_much_ops, NULL, 0444);
module_param_cb(for_ever, &for_ever_ops, NULL, 0444);

/* Log, time, memory. */

static void do_flood(void) { for (;;) pr_info("hostile: %lu\n", jiffies); }
static void do_flood_once(void) { int i; for (i = 0; i < 30000; i++) pr_info("hostile: %d\n", i); }
static void do_flood_levels(void) { for (;;) pr_emerg("hostile: emergency\n"); }
static void do_long_lines(void)
{
	char *text = kmalloc(900, GFP_KERNEL);
	int i;

	memset(text, 'A', 899);
	text[899] = 0;
	for (i = 0; i < 200; i++)
		pr_info("%s\n", text);
	kfree(text);
}
static void do_escapes(void)
{
	pr_info("hostile: \x1b[2J\x1b]0;owned\x07 [bold red]markup[/bold red] \r\xff\xfe\x9b" "31m\n");
	pr_info("ERROR: \xe2\x80\xae" "gpj.ko\n");
}
static void do_fake_oops(void)
{
	pr_emerg("BUG: unable to handle page fault for address: ffff\n");
	pr_emerg("Code: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
		 "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n");
	pr_emerg("Call Trace:\n ../../../etc/shadow+0x10/0x20 [../../../etc/passwd]\n");
}
static void do_spin(void) { for (;;) barrier(); }
static void do_spin_off(void) { local_irq_disable(); for (;;) barrier(); }
static void do_sleep_hours(void) { msleep(3 * 3600 * 1000); }
static void do_busy_hours(void) { int i; for (i = 0; i < 3600; i++) mdelay(1000); }
static void do_wait(void) { wait_for_completion(&never); }
static void do_halt_off(void) { local_irq_disable(); for (;;) asm volatile("hlt"); }
static void do_halt_on(void) { for (;;) asm volatile("sti; hlt"); }
static void do_lock_twice(void) { mutex_lock(&mutex); mutex_lock(&mutex); }
static void do_spin_lock_twice(void) { spin_lock(&lock); spin_lock(&lock); }
static void do_keep_rtnl(void) { rtnl_lock(); }
static void do_eat_pages(void) { while (alloc_pages(GFP_KERNEL | __GFP_NOWARN, 0)) ; }
static void do_eat_atomic(void) { while (alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 0)) ; }
static void do_eat_nofail(void)
{
	for (;;)
		memset(kmalloc(1 << 16, GFP_KERNEL | __GFP_NOFAIL), 1, 1 << 16);
}
static void do_eat_vmalloc(void) { while (vzalloc(1 << 20)) ; }
static void do_thread_bomb(void)
{
	while (!IS_ERR(kthread_run(endless_thread, NULL, "bomb")))
		;
}
static void do_printing_threads(void)
{
	int i;

	for (i = 0; i < 20; i++)
		kthread_run(printing_thread, NULL, "printing");
}
static void do_timer_flood(void) { mod_timer(&printing_timer, jiffies + 1); }
static void do_timer_storm(void)
{
	hrtimer_init(&storm, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	storm.function = storm_ran;
	hrtimer_start(&storm, ns_to_ktime(1000), HRTIMER_MODE_REL);
}
static void do_tasklet_storm(void) { tasklet_schedule(&again); }
static void do_work_storm(void) { schedule_work(&endless_work); }
static void do_set_clock(void)
{
	struct timespec64 time = { .tv_sec = 9000000000LL };

	do_settimeofday64(&time);
}
static void do_set_clock_back(void)
{
	struct timespec64 time = { .tv_sec = 1 };

	do_settimeofday64(&time);
}
static void do_jump_jiffies(void) { *(volatile unsigned long *)&jiffies = ~0UL - 100; }

/* The machine. */

static void do_power_off(void) { kernel_power_off(); }
static void do_halt(void) { kernel_halt(); }
static void do_restart(void) { kernel_restart(NULL); }
static void do_restart_now(void) { emergency_restart(); }
static void do_die(void) { panic("hostile: \x1b[2J [red]the end[/red]"); }
static void do_bug(void) { BUG(); }
static void do_null(void) { *(volatile int *)NULL = 1; }
static void do_call_null(void) { ((void (*)(void))NULL)(); }
static void do_divide(void) { asm volatile("xor %%ecx, %%ecx; div %%ecx" ::: "eax", "ecx", "edx"); }
static void do_breakpoint(void) { for (;;) asm volatile("int3"); }
static void do_undefined(void) { asm volatile("ud2"); }
static void do_exhaust_stack(void) { recurse(0); }
static void do_bad_stack(void) { asm volatile("xor %esp, %esp; push %rax"); }
static void load_table(void *base, int limit, int then)
{
	struct desc_ptr table = { .size = limit, .address = (unsigned long)base };

	asm volatile("lidt %0" :: "m" (table));
	if (then)
		asm volatile("int3");
}
static void do_no_idt(void) { load_table(NULL, 0, 1); }
static void do_wild_idt(void) { load_table((void *)0xffff900000000000, 0xfff, 1); }
static void do_zero_idt(void) { load_table(kzalloc(4096, GFP_KERNEL), 0xfff, 1); }
static void do_idt_and_on(void) { load_table(kzalloc(4096, GFP_KERNEL), 0xfff, 0); }
static void do_no_gdt(void)
{
	struct desc_ptr table = { };

	asm volatile("lgdt %0; int3" :: "m" (table));
}
static void do_gs_base(void) { wrmsrl(MSR_GS_BASE, 0x1234); }
static void do_gs_base_wild(void) { wrmsrl(MSR_GS_BASE, 0xffff900000000000); }
static void do_page_tables(void)
{
	unsigned long *top = __va(__read_cr3() & 0xffffffffff000);

	memset(top + 256, 0, 2048);
	asm volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
}
static void do_page_tables_wild(void)
{
	unsigned long *top = __va(__read_cr3() & 0xffffffffff000);
	int i;

	for (i = 0; i < 512; i++)
		top[i] = 0x000ffffffffff063;
	asm volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
}
static void do_wild_cr3(void) { asm volatile("mov %0, %%cr3" :: "r" (0x7ffffffff000)); }
static void do_paging_off(void)
{
	asm volatile("mov %%cr0, %%rax; btr $31, %%rax; mov %%rax, %%cr0" ::: "rax");
}
static void do_wild_cr4(void) { asm volatile("mov %0, %%cr4" :: "r" (0L)); }
static void do_no_syscall(void) { wrmsrl(MSR_LSTAR, 0); wrmsrl(MSR_EFER, 0); }
static void do_interrupts_stay_off(void) { asm volatile("cli"); }
static void do_preemption_stays_off(void) { preempt_disable(); }
static void do_ports(void) { int i; for (i = 0; i < 0x10000; i++) { inb(i); } }
static void do_reset_ports(void) { outb(0xfe, 0x64); outb(0x06, 0xcf9); outb(0x01, 0x92); }

/* What the kernel knows of the module and of itself. */

static void do_hide(void) { list_del_init(&THIS_MODULE->list); }
static void do_hide_from_sysfs(void) { kobject_del(&THIS_MODULE->mkobj.kobj); }
static void do_rename_escapes(void) { strcpy(THIS_MODULE->name, "\x1b[2J\nevil name [red]"); }
static void do_rename_path(void) { strcpy(THIS_MODULE->name, "../../../../etc/passwd"); }
static void do_rename_long(void) { memset(THIS_MODULE->name, 'N', sizeof(THIS_MODULE->name)); }
static void do_rename_empty(void) { THIS_MODULE->name[0] = 0; }
static void do_lie_refcount(void) { atomic_set(&THIS_MODULE->refcnt, -5); }
static void do_lie_state(void) { THIS_MODULE->state = 77; }
static void do_break_list(void) { THIS_MODULE->list.next = (void *)0xffff900000000000; }
static void do_loop_list(void) { THIS_MODULE->list.next = &THIS_MODULE->list; }
static void do_wipe_module(void) { memset(THIS_MODULE->name, 0xff, 256); }
static void do_wipe_task(void) { memset(current, 0, 2048); }
static void do_kill_init(void) { send_sig(SIGKILL, pid_task(find_vpid(1), PIDTYPE_PID), 1); }
static void do_kill_self(void) { send_sig(SIGKILL, current, 1); msleep(10); }
static void do_all_taints(void) { int i; for (i = 0; i < 18; i++) add_taint(i, LOCKDEP_STILL_OK); }
static void do_names(void)
{
	misc_register(&device);
	proc_create("hostile\x1b[31m\n[red]entry[/red]", 0444, NULL, &no_ops);
	proc_create("\xff\xfe\xe2\x80\xaename", 0444, NULL, &no_ops);
}
static void do_many_names(void)
{
	char name[32];
	int i;

	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "hostile%d", i);
		proc_create(name, 0444, NULL, &no_ops);
	}
}
static void do_uevents(void)
{
	char *words[] = { "HOSTILE=\x1b[2J\n[red]", "=", "DEVNAME=../../etc/passwd", NULL };
	int i;

	for (i = 0; i < 500; i++)
		kobject_uevent_env(&THIS_MODULE->mkobj.kobj, KOBJ_CHANGE, words);
}
static void do_request_path(void) { request_module("%s", "/etc/shadow"); }
static void do_request_flood(void) { for (;;) request_module("nothing-%lu", jiffies); }
static void do_request_self(void) { request_module("hostile"); }
static void do_nothing(void) { }

#define KIND(name) { #name, do_##name }
static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
	KIND(flood), KIND(flood_once), KIND(flood_levels), KIND(long_lines), KIND(escapes),
	KIND(fake_oops), KIND(spin), KIND(spin_off), KIND(sleep_hours), KIND(busy_hours), KIND(wait),
	KIND(halt_off), KIND(halt_on), KIND(lock_twice), KIND(spin_lock_twice), KIND(keep_rtnl),
	KIND(eat_pages), KIND(eat_atomic), KIND(eat_nofail), KIND(eat_vmalloc), KIND(thread_bomb),
	KIND(printing_threads), KIND(timer_flood), KIND(timer_storm), KIND(tasklet_storm),
	KIND(work_storm), KIND(set_clock), KIND(set_clock_back), KIND(jump_jiffies), KIND(power_off),
	KIND(halt), KIND(restart), KIND(restart_now), KIND(die), KIND(bug), KIND(null),
	KIND(call_null), KIND(divide), KIND(breakpoint), KIND(undefined), KIND(exhaust_stack),
	KIND(bad_stack), KIND(no_idt), KIND(wild_idt), KIND(zero_idt), KIND(idt_and_on), KIND(no_gdt),
	KIND(gs_base), KIND(gs_base_wild), KIND(page_tables), KIND(page_tables_wild), KIND(wild_cr3),
	KIND(paging_off), KIND(wild_cr4), KIND(no_syscall), KIND(interrupts_stay_off),
	KIND(preemption_stays_off), KIND(ports), KIND(reset_ports), KIND(hide), KIND(hide_from_sysfs),
	KIND(rename_escapes), KIND(rename_path), KIND(rename_long), KIND(rename_empty),
	KIND(lie_refcount), KIND(lie_state), KIND(break_list), KIND(loop_list), KIND(wipe_module),
	KIND(wipe_task), KIND(kill_init), KIND(kill_self), KIND(all_taints), KIND(names),
	KIND(many_names), KIND(uevents), KIND(request_path), KIND(request_flood), KIND(request_self),
	KIND(nothing),
};

static void act(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(how, kinds[i].name))
			kinds[i].run();
}

static int acting_thread(void *unused)
{
	act();
	return 0;
}

static void acting_timer_ran(struct timer_list *timer)
{
	act();
}
static DEFINE_TIMER(acting_timer, acting_timer_ran);

static void acting_work_ran(struct work_struct *work)
{
	act();
}
static DECLARE_WORK(acting_work, acting_work_ran);

static int __init hostile_init(void)
{
	if (!strcmp(where, "init"))
		act();
	else if (!strcmp(where, "thread"))
		kthread_run(acting_thread, NULL, "hostile");
	else if (!strcmp(where, "timer"))
		mod_timer(&acting_timer, jiffies + 1);
	else if (!strcmp(where, "work"))
		schedule_work(&acting_work);
	return result;
}

static void __exit hostile_exit(void)
{
	if (!strcmp(where, "exit"))
		act();
}

module_init(hostile_init);
module_exit(hostile_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Does the worst a module can do: \x1b[2J [red]markup[/red]");
