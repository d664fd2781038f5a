"""What an unknown symbol is, by its name: one of a mitigation, an instrumentation, a C library, a module."""

from __future__ import annotations

import re

from lkm.doctor.api_changes import of_name
from lkm.doctor.causes import relocation, symbols
from lkm.doctor.finding import Evidence, Finding

_THUNK = re.compile(
    r"__x86_indirect_|__x86_return_thunk|__x86_.{0,20}thunk|__fill_rsb|call_depth_return_thunk|__indirect_thunk"
)
_INSTRUMENTED = re.compile(
    r"__asan_|__hwasan_|__kasan_|__ubsan_|__sanitizer_|__gcov_|llvm_gcov|__tsan_|__msan_|_?mcount$|__fentry__$|"
    r"__gnu_mcount|__cfi_|__stack_chk_|__cyg_profile|ftrace_likely_update|__fortify_"
)
_RUNTIME = re.compile(
    r"__(?:u|s)?(?:div|mod|mul|ashl|lshr|ashr|udivmod)[dst]i[345]$|__u?(?:div|mod)[dst]i3$|__aeabi_|__(?:add|sub|mul|div|fix|float|"
    r"trunc|extend|gt|lt|ge|le|eq|ne)\w{0,6}[sdt]f\w{0,6}$|_GLOBAL_OFFSET_TABLE_$|(?:printf|malloc|free|puts|memmem|exit|"
    r"fopen|stdout|stderr|__stack_chk_guard|__cxa_\w{1,20}|_Unwind_\w{1,30}|__gxx_personality_v0|abort|atoi|strtol)$"
)
# Modules by the beginning of the symbols they export, of the subsystems that drivers are built on.
_OWNERS = (
    ("ieee80211_", "mac80211"), ("cfg80211_", "cfg80211"), ("wiphy_", "cfg80211"), ("snd_pcm_", "snd_pcm"),
    ("snd_rawmidi_", "snd_rawmidi"), ("snd_hda_", "snd_hda_codec or snd_hda_core"), ("snd_soc_", "snd_soc_core"),
    ("snd_card_", "snd"), ("snd_ctl_", "snd"), ("snd_device_", "snd"), ("video_", "videodev"), ("v4l2_", "videodev or v4l2-common"),
    ("vb2_", "videobuf2_common or videobuf2_v4l2"), ("drm_kms_helper", "drm_kms_helper"), ("drm_fb_helper_", "drm_kms_helper"), ("drm_atomic_helper_", "drm_kms_helper"), ("drm_", "drm"),
    ("ttm_", "ttm"), ("usb_serial_", "usbserial"), ("usbnet_", "usbnet"), ("nf_ct_", "nf_conntrack"),
    ("nf_conntrack_", "nf_conntrack"), ("nf_nat_", "nf_nat"), ("xt_", "x_tables"), ("iscsi_", "libiscsi"),
    ("ib_", "ib_core"), ("rdma_", "rdma_cm or ib_core"), ("kvm_", "kvm"), ("jbd2_", "jbd2"), ("fuse_", "fuse"),
    ("nfs_", "nfs"), ("svc_", "sunrpc"), ("rpc_", "sunrpc"), ("spl_", "spl"), ("iio_", "industrialio"),
    ("mdio", "libphy"), ("phy_", "libphy"), ("phylink_", "phylink"), ("dvb_", "dvb_core"), ("hid_", "hid"),
    ("typec_", "typec"), ("ucsi_", "typec_ucsi"), ("mmc_", "mmc_core"), ("nvme_", "nvme_core"), ("dm_", "dm_mod"),
    ("rc_", "rc_core"), ("can_", "can_dev"), ("ptp_", "ptp"), ("i2c_mux_", "i2c_mux"), ("led_", "led_class"), ("nvidia_", "nvidia"), ("nvUvmInterface", "nvidia"), ("backlight_", "backlight"),
    ("acpi_video_", "video"), ("crc32c", "libcrc32c"), ("udp_tunnel_", "udp_tunnel"), ("iptunnel_", "ip_tunnel"), ("blake2s", "libblake2s"), ("chacha20poly1305", "libchacha20poly1305"), ("curve25519", "libcurve25519"),
)  # fmt: skip


def unknown_symbol(module: str, symbol: str) -> Finding:
    """Return what it means that ``module`` needs ``symbol`` and nobody gives it, by the symbol's name."""
    if _THUNK.match(symbol):
        return relocation.thunk(module, symbol)
    if _INSTRUMENTED.match(symbol):
        return relocation.instrumentation(module, symbol)
    if _RUNTIME.match(symbol):
        return relocation.runtime_helper(module, symbol)
    found = symbols.unknown_from_log(module, symbol)
    if change := of_name(symbol):
        what = f"{change.what} in Linux {change.release}" + (
            f"; instead: {change.instead}" if change.instead else ""
        )
        return found.with_evidence(Evidence("the symbol", what))
    owner = next((owner for start, owner in _OWNERS if symbol.startswith(start)), "")
    if owner and owner != module:
        return found.with_evidence(Evidence("mostly exported by", owner))
    return found
