"""Functions, members and headers of the kernel that changed, and the release in which they did.

From the kernel's history and from public reports of failed builds; a test holds the names that
are gone against the headers of the kernels that are here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiChange:
    """``name`` changed in ``release``: ``what`` became of it, and what to write ``instead``."""

    name: str
    release: str
    what: str
    instead: str = ""


_GONE = """
del_timer 6.15 timer_delete()
del_timer_sync 6.15 timer_delete_sync()
try_to_del_timer_sync 6.15 timer_delete_sync_try()
from_timer 6.16 timer_container_of()
hrtimer_init 6.15 hrtimer_setup()
init_timer 4.15 timer_setup()
setup_timer 4.15 timer_setup()
init_timer_on_stack 4.15 timer_setup_on_stack()
do_gettimeofday 5.0 ktime_get_real_ts64()
getnstimeofday 5.0 ktime_get_real_ts64()
current_kernel_time 4.20 ktime_get_coarse_real_ts64()
CURRENT_TIME 4.12 current_time(inode)
timespec_to_ns 5.6 timespec64_to_ns()
ACCESS_ONCE 4.15 READ_ONCE(), WRITE_ONCE()
set_fs 5.18 kernel_read(), kernel_write()
get_fs 5.18 kernel_read(), kernel_write()
KERNEL_DS 5.18 kernel_read(), kernel_write()
mm_segment_t 5.18 kernel_read(), kernel_write()
ioremap_nocache 5.6 ioremap()
pci_alloc_consistent 5.18 dma_alloc_coherent()
pci_free_consistent 5.18 dma_free_coherent()
pci_zalloc_consistent 5.18 dma_alloc_coherent()
pci_map_single 5.18 dma_map_single()
pci_unmap_single 5.18 dma_unmap_single()
pci_map_page 5.18 dma_map_page()
pci_map_sg 5.18 dma_map_sg()
pci_unmap_sg 5.18 dma_unmap_sg()
pci_dma_mapping_error 5.18 dma_mapping_error()
pci_set_dma_mask 5.18 dma_set_mask()
pci_set_consistent_dma_mask 5.18 dma_set_coherent_mask()
PCI_DMA_TODEVICE 5.18 DMA_TO_DEVICE
PCI_DMA_FROMDEVICE 5.18 DMA_FROM_DEVICE
PDE_DATA 5.17 pde_data()
complete_and_exit 5.17 kthread_complete_and_exit()
strlcpy 6.8 strscpy()
probe_kernel_read 5.8 copy_from_kernel_nofault()
prandom_u32 6.1 get_random_u32()
prandom_bytes 6.1 get_random_bytes()
prandom_u32_max 6.2 get_random_u32_below()
netif_rx_ni 5.18 netif_rx()
u64_stats_fetch_begin_irq 6.3 u64_stats_fetch_begin()
no_llseek 6.12 leave the member out
register_sysctl_table 6.6 register_sysctl()
follow_pfn 6.12 follow_pfnmap_start()
blkdev_get_by_path 6.9 bdev_file_open_by_path()
blkdev_put 6.9 bdev_fput()
bdevname 6.0 %pg
blk_cleanup_disk 6.0 put_disk()
blk_cleanup_queue 6.0 blk_mq_destroy_queue()
alloc_disk 5.15 blk_alloc_disk()
blk_queue_make_request 5.9 submit_bio of struct block_device_operations
generic_make_request 5.9 submit_bio_noacct()
smp_read_barrier_depends 5.9 READ_ONCE()
mmap_sem 5.8 mmap_lock, mmap_read_lock()
put_tty_driver 5.15 tty_driver_kref_put()
alloc_tty_driver 5.15 tty_alloc_driver()
trans_start 4.7 netif_trans_update()
pci_enable_pcie_error_reporting 6.6 leave it out: the PCI core does it
pci_disable_pcie_error_reporting 6.6 leave it out: the PCI core does it
wait_queue_t 4.13 wait_queue_entry_t
drm_irq_install 5.16 request_irq()
drm_irq_uninstall 5.16 free_irq()
drm_gem_object_put_unlocked 5.9 drm_gem_object_put()
drm_dev_unref 5.0 drm_dev_put()
drm_framebuffer_unreference 5.0 drm_framebuffer_put()
drm_mode_connector_update_edid_property 4.19 drm_connector_update_edid_property()
dma_buf_map 5.18 iosys_map
i_atime 6.7 inode_get_atime(), inode_set_atime()
i_mtime 6.7 inode_get_mtime(), inode_set_mtime()
i_ctime 6.6 inode_get_ctime(), inode_set_ctime()
register_shrinker 6.7 shrinker_alloc(), shrinker_register()
unregister_shrinker 6.7 shrinker_free()
strtobool 6.3 kstrtobool()
i2c_new_device 5.8 i2c_new_client_device()
i2c_new_dummy 5.8 i2c_new_dummy_device()
time_to_tm 5.6 time64_to_tm()
rtc_time_to_tm 5.6 rtc_time64_to_tm()
devm_ioremap_nocache 5.6 devm_ioremap()
"""

_CHANGED = (
    ApiChange(
        "kallsyms_lookup_name",
        "5.7",
        "is not exported to modules any more",
        "a kprobe on the function, or no such look-up",
    ),
    ApiChange(
        "sched_setscheduler",
        "5.9",
        "is not exported to modules any more",
        "sched_set_fifo(), sched_set_normal()",
    ),
    ApiChange("access_ok", "5.0", "takes two arguments, without the type", "access_ok(addr, size)"),
    ApiChange("class_create", "6.4", "takes the name alone", "class_create(name)"),
    ApiChange(
        "vm_flags",
        "6.3",
        "of struct vm_area_struct can be read only",
        "vm_flags_set() and vm_flags_clear()",
    ),
    ApiChange("dev_addr", "5.17", "of struct net_device can be read only", "eth_hw_addr_set()"),
    ApiChange(
        "netif_napi_add",
        "6.1",
        "takes no weight any more",
        "netif_napi_add(), or netif_napi_add_weight()",
    ),
    ApiChange(
        "get_user_pages",
        "6.5",
        "takes no vmas any more",
        "get_user_pages(start, pages, flags, list)",
    ),
    ApiChange(
        "pin_user_pages",
        "6.5",
        "takes no vmas any more",
        "pin_user_pages(start, pages, flags, list)",
    ),
    ApiChange(
        "proc_create",
        "5.6",
        "takes a struct proc_ops",
        "struct proc_ops instead of struct file_operations",
    ),
    ApiChange(
        "proc_create_data",
        "5.6",
        "takes a struct proc_ops",
        "struct proc_ops instead of struct file_operations",
    ),
    ApiChange(
        "proc_ops",
        "5.6",
        "is what proc_create() takes",
        "struct proc_ops instead of struct file_operations",
    ),
    ApiChange(
        "timer_list", "4.15", "has no member data any more", "timer_setup() and container_of()"
    ),
    ApiChange(
        "platform_driver", "6.11", "remove returns nothing", "void remove(struct platform_device *)"
    ),
    ApiChange(
        "i2c_driver", "6.3", "probe takes the client alone", "int probe(struct i2c_client *)"
    ),
    ApiChange("bin_attribute", "6.13", "is const in its callbacks", "const struct bin_attribute *"),
    ApiChange("report_fixup", "6.12", "returns a const pointer", "const __u8 *report_fixup(…)"),
    ApiChange(
        "wake_tx_queue",
        "6.2",
        "must be set in struct ieee80211_ops",
        "ieee80211_handle_wake_tx_queue",
    ),
    ApiChange("ieee80211_ops", "6.2", "must set wake_tx_queue", "ieee80211_handle_wake_tx_queue"),
    ApiChange("MODULE_IMPORT_NS", "6.13", "takes a string", 'MODULE_IMPORT_NS("NAME")'),
    ApiChange(
        "EXPORT_SYMBOL_NS",
        "6.13",
        "takes the namespace as a string",
        'EXPORT_SYMBOL_NS(symbol, "NAME")',
    ),
    ApiChange(
        "EXPORT_SYMBOL_NS_GPL",
        "6.13",
        "takes the namespace as a string",
        'EXPORT_SYMBOL_NS_GPL(symbol, "NAME")',
    ),
    ApiChange(
        "kernel_read",
        "4.14",
        "takes the position as a pointer",
        "kernel_read(file, buf, count, &pos)",
    ),
    ApiChange(
        "kernel_write",
        "4.14",
        "takes the position as a pointer",
        "kernel_write(file, buf, count, &pos)",
    ),
    ApiChange("__vmalloc", "5.8", "takes no page protection any more", "__vmalloc(size, gfp)"),
    ApiChange("tv64", "4.10", "is gone from ktime_t, a number since", "ktime_to_ns()"),
    ApiChange("timeval", "5.6", "is not for kernel code any more", "struct timespec64"),
    ApiChange("timespec", "5.6", "is not for kernel code any more", "struct timespec64"),
    ApiChange("time_t", "5.6", "is not for kernel code any more", "time64_t"),
    ApiChange("iov_iter_init", "6.0", "takes ITER_SOURCE or ITER_DEST", "ITER_SOURCE, ITER_DEST"),
    ApiChange(
        "drm_driver",
        "5.11",
        "has its PRIME callbacks in drm_gem_object_funcs",
        "struct drm_gem_object_funcs",
    ),
    ApiChange("gpio_chip", "6.17", "set and set_multiple return an int", "int set(…)"),
    ApiChange("set_wiphy_params", "6.17", "takes the radio's index", "int radio_idx"),
    ApiChange("set_tx_power", "6.17", "takes the radio's index", "int radio_idx"),
    ApiChange("get_tx_power", "6.14", "takes the link, and since 6.17 the radio"),
)

_HEADERS = """
drm/drm_irq.h 5.16 request_irq()
drm/drmP.h 5.5 the headers of what is used
drm/drm_legacy.h 6.8 nothing: the legacy drivers are gone
drm/drm_dp_helper.h 5.19 drm/display/drm_dp_helper.h
drm/drm_gem_cma_helper.h 6.1 drm/drm_gem_dma_helper.h
drm/drm_fb_cma_helper.h 6.1 drm/drm_fb_dma_helper.h
drm/drm_fbdev_generic.h 6.11 drm/drm_fbdev_ttm.h
linux/genhd.h 5.18 linux/blkdev.h
linux/dma-buf-map.h 5.18 linux/iosys-map.h
linux/cryptohash.h 5.8 crypto/sha1.h
linux/bootmem.h 5.0 linux/memblock.h
linux/pci-aspm.h 5.4 linux/pci.h
linux/pci-dma-compat.h 5.18 linux/dma-mapping.h
asm/unaligned.h 6.12 linux/unaligned.h
asm/kmap_types.h 5.11 linux/highmem.h
asm/segment.h 5.18 linux/uaccess.h
asm/system.h 3.4 asm/barrier.h, asm/cmpxchg.h
asm/uaccess.h 4.12 linux/uaccess.h
crypto/sha.h 5.11 crypto/sha1.h, crypto/sha2.h
stdarg.h 5.16 linux/stdarg.h
"""


def _listed(table: str, what: str) -> dict[str, ApiChange]:
    found = {}
    for line in table.split("\n"):
        if line:
            name, release, instead = line.split(maxsplit=2)
            found[name] = ApiChange(name, release, what, instead)
    return found


CHANGES: dict[str, ApiChange] = {
    **_listed(_GONE, "is gone"),
    **_listed(_HEADERS, "was removed"),
    **{change.name: change for change in _CHANGED},
}
"""What is known, by name."""


def of_name(name: str) -> ApiChange | None:
    """Return what is known to have become of a function, member, structure or header."""
    return CHANGES.get(name.strip("*&() ").removeprefix("struct ").strip())
