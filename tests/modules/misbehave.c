// SPDX-License-Identifier: LGPL-2.1-or-later
/* init does one thing out of the ordinary, chosen by name: wrong, or only unusual. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <asm/fpu/api.h>
#include <asm/msr.h>

static char *how = "nothing";
module_param(how, charp, 0444);

static const int constant = 5;
static char data[16] = { 0xc3 };
static DEFINE_SPINLOCK(lock);
static DECLARE_COMPLETION(never);
static DECLARE_COMPLETION(timer_ran);

static int noinline recurse(int depth)
{
	volatile char frame[512];

	frame[0] = depth;
	return depth > 1000000 ? 0 : recurse(depth + 1) + frame[0];
}

static void on_timer(struct timer_list *timer)
{
	complete(&timer_ran);
}
static DEFINE_TIMER(timer, on_timer);

static void on_work(struct work_struct *work)
{
	pr_info("misbehave: work ran\n");
}
static DECLARE_WORK(work, on_work);

static int thread(void *unused)
{
	int turns = 0;

	while (!kthread_should_stop()) {
		turns++;
		msleep(20);
	}
	return turns > 1 ? 7 : 0;
}

/* What is wrong. */

static int spin(void)
{
	for (;;)
		barrier();
	return 0;
}

static int spin_relaxed(void)
{
	for (;;)
		cpu_relax();
	return 0;
}

static int spin_without_interrupts(void)
{
	local_irq_disable();
	for (;;)
		barrier();
	return 0;
}

static int halt_for_ever(void)
{
	asm volatile("cli; hlt");
	return 0;
}

static int deadlock(void)
{
	spin_lock(&lock);
	spin_lock(&lock);
	return 0;
}

static int wait_for_ever(void)
{
	wait_for_completion(&never);
	return 0;
}

static int write_constant(void)
{
	*(volatile int *)&constant = 6;
	return 0;
}

static int call_null(void)
{
	void (*volatile function)(void) = NULL;

	function();
	return 0;
}

static int exhaust_stack(void)
{
	return recurse(0) & 1;
}

static int divide_by_zero(void)
{
	volatile int zero = 0;

	return 5 / zero;
}

static int execute_data(void)
{
	((void (*)(void))data)();
	return 0;
}

static int read_unmapped(void)
{
	return *(volatile int *)0xffff900000000000UL & 1;
}

static int read_non_canonical(void)
{
	return *(volatile int *)0x8000000000000000UL & 1;
}

static int die_of_panic(void)
{
	panic("misbehave: the end");
}

static int die_of_bug_in_timer(void)
{
	/* In an interrupt there is no task to kill. */
	local_bh_disable();
	BUG();
	return 0;
}

/* What is only unusual. */

static int sleep_a_while(void)
{
	unsigned long start = jiffies;

	msleep(50);
	return time_before(jiffies, start + msecs_to_jiffies(50)) ? -EINVAL : 0;
}

static int delay_a_while(void)
{
	mdelay(5);
	return 0;
}

static int defer(void)
{
	schedule_work(&work);
	flush_work(&work);
	mod_timer(&timer, jiffies + 5);
	wait_for_completion(&timer_ran);
	return 0;
}

static int poll_jiffies(void)
{
	unsigned long start = jiffies;

	while (jiffies == start)
		cpu_relax();
	while (time_before(jiffies, start + 5))
		cond_resched();
	return 0;
}

static int run_thread(void)
{
	struct task_struct *task = kthread_run(thread, NULL, "misbehave");

	msleep(100);
	return kthread_stop(task) == 7 ? 0 : -EINVAL;
}

static int read_clock(void)
{
	u64 first = rdtsc(), second = rdtsc();

	return second > first ? 0 : -EINVAL;
}

static int use_fpu(void)
{
	kernel_fpu_begin();
	asm volatile("pxor %xmm0, %xmm0");
	kernel_fpu_end();
	return 0;
}

static const struct {
	const char *name;
	int (*function)(void);
} kinds[] = {
#define KIND(name) { #name, name }
	KIND(spin), KIND(spin_relaxed), KIND(spin_without_interrupts), KIND(halt_for_ever), KIND(deadlock),
	KIND(wait_for_ever), KIND(write_constant), KIND(call_null), KIND(exhaust_stack),
	KIND(divide_by_zero), KIND(execute_data), KIND(read_unmapped), KIND(read_non_canonical),
	KIND(die_of_panic), KIND(die_of_bug_in_timer), KIND(sleep_a_while), KIND(delay_a_while),
	KIND(defer), KIND(poll_jiffies), KIND(run_thread), KIND(read_clock), KIND(use_fpu),
};

static int __init misbehave_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, how))
			return kinds[i].function();
	return -ENOENT;
}

static void __exit misbehave_exit(void)
{
}

module_init(misbehave_init);
module_exit(misbehave_exit);
MODULE_DESCRIPTION("Does what a module should not, and what it rarely does");
MODULE_LICENSE("GPL");
