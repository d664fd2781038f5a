"""The distributions the doctor knows: their kernels' release strings, their packages and commands.

The names of packages are those of the distributions' own archives; where a distribution has no
package for something, a note says what it has instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lkm.doctor.distributions import Distribution
from lkm.doctor.finding import Need

Commands = Mapping[Need, tuple[str, ...]]

_GRUB = ("sudoedit /etc/default/grub", "sudo update-grub")
_GRUB2 = ("sudoedit /etc/default/grub", "sudo grub2-mkconfig -o /boot/grub2/grub.cfg")
_APT: dict[Need, tuple[str, ...]] = {
    Need.HEADERS: ("sudo apt-get install linux-headers-{release}",),
    Need.KERNEL: ("sudo apt-get install linux-image-{release}",),
    Need.REINSTALL: ('sudo apt-get install --reinstall "$(dpkg -S {path} | cut -d: -f1)"',),
    Need.INITRAMFS: ("sudo update-initramfs -u",),
    Need.BOOT_OPTIONS: _GRUB,
    Need.COMPILER: ("sudo apt-get install build-essential",),
    Need.DKMS: ("sudo dkms autoinstall -k {release}",),
}
_DNF: dict[Need, tuple[str, ...]] = {
    Need.HEADERS: ("sudo dnf install kernel-devel-{release}",),
    Need.MODULES: ("sudo dnf install kernel-modules-extra-{release}",),
    Need.KERNEL: ("sudo dnf install kernel-{release}",),
    Need.REINSTALL: ('sudo dnf reinstall "$(rpm -qf {path})"',),
    Need.INITRAMFS: ("sudo dracut --force",),
    Need.BOOT_OPTIONS: ('sudo grubby --update-kernel=ALL --args="..." --remove-args="..."',),
    Need.COMPILER: ("sudo dnf install gcc make elfutils-libelf-devel",),
    Need.DKMS: ("sudo dkms autoinstall -k {release}",),
}
_PACMAN: dict[Need, tuple[str, ...]] = {
    Need.HEADERS: ("sudo pacman -S {flavour}-headers",),
    Need.KERNEL: ("sudo pacman -S {flavour}",),
    Need.REINSTALL: ('sudo pacman -S "$(pacman -Qqo {path})"',),
    Need.INITRAMFS: ("sudo mkinitcpio -P",),
    Need.BOOT_OPTIONS: ("sudoedit /etc/default/grub", "sudo grub-mkconfig -o /boot/grub/grub.cfg"),
    Need.COMPILER: ("sudo pacman -S base-devel",),
    Need.DKMS: ("sudo dkms autoinstall -k {release}",),
}


def _known(
    name: str,
    ids: str,
    release: str,
    commands: Commands,
    *,
    mark: str = "",
    mark_decides: bool = False,
    notes: Mapping[Need, str] | None = None,
    flavours: Mapping[str, str] | None = None,
    removes_modules: bool = False,
) -> Distribution:
    return Distribution(
        name,
        tuple(ids.split()),
        re.compile(release),
        commands,
        re.compile(mark) if mark else None,
        mark_decides,
        notes or {},
        flavours or {},
        removes_modules,
    )


_SAME_VERSION = (
    "of the version that `uname -r` shows; upgrade and reboot where only a newer one is there"
)
_WSL_KERNEL = (
    "git clone --depth 1 --branch linux-msft-wsl-{bare} https://github.com/microsoft/WSL2-Linux-Kernel",
    "cd WSL2-Linux-Kernel && make KCONFIG_CONFIG=Microsoft/config-wsl",
)
_WSL_NOTE = (
    "this is WSL, whose kernel is Microsoft's and packaged by no distribution: build it from "
    "github.com/microsoft/WSL2-Linux-Kernel, and name the image as kernel= in .wslconfig"
)
_NIX_NOTE = (
    "NixOS: nothing is installed by hand; in configuration.nix name the module in "
    "boot.extraModulePackages = with config.boot.kernelPackages; [ … ], or build against "
    "config.boot.kernelPackages.kernel.dev"
)
_ANDROID_NOTE = (
    "Android packages no headers: build against the source of this very kernel (its vendor's, or the "
    "GKI branch of that name)"
)
_APPLIANCE = "this system has no package manager for its kernel: "

DISTRIBUTIONS: tuple[Distribution, ...] = (
    _known(
        "WSL", "wsl", r"(?i)microsoft", {
            Need.HEADERS: _WSL_KERNEL, Need.MODULES: _WSL_KERNEL, Need.KERNEL: _WSL_KERNEL,
            Need.COMPILER: ("sudo apt-get install build-essential flex bison libelf-dev bc dwarves",),
            Need.BOOT_OPTIONS: ("notepad.exe %UserProfile%\\.wslconfig    # [wsl2] kernelCommandLine=",
                                "wsl.exe --shutdown"),
        },
        mark=r"microsoft-standard|WSL2", notes={
            Need.HEADERS: _WSL_NOTE, Need.MODULES: _WSL_NOTE, Need.KERNEL: _WSL_NOTE,
            Need.INITRAMFS: "WSL boots without an initramfs",
        },
    ),
    _known(
        "Proxmox VE", "proxmox pve", r"-pve$", {
            **_APT,
            Need.HEADERS: ("sudo apt-get install proxmox-headers-{release}    # pve-headers-{release} before 8.0",),
            Need.KERNEL: ("sudo apt-get install proxmox-kernel-{release}    # pve-kernel-{release} before 8.0",),
            Need.BOOT_OPTIONS: ("sudoedit /etc/kernel/cmdline    # or /etc/default/grub",
                                "sudo proxmox-boot-tool refresh    # or update-grub"),
        },
        mark=r"pve-(?:kernel|headers|manager)|proxmox-(?:kernel|headers)",
    ),
    _known(
        "Raspberry Pi OS", "raspbian", r"\+rpt-rpi-(?P<flavour>[\w-]{1,20})$|-(?:v6|v7l?|v8|v8-16k)\+$|\+rpi|-rpi\d?$", {
            **_APT,
            Need.HEADERS: ("sudo apt-get install linux-headers-rpi-{flavour}    # raspberrypi-kernel-headers before 2023",),
            Need.KERNEL: ("sudo apt-get install --reinstall raspberrypi-kernel    # linux-image-rpi-{flavour} since 2023",
                          "sudo reboot"),
            Need.BOOT_OPTIONS: ("sudoedit /boot/firmware/cmdline.txt    # /boot/cmdline.txt before 2023", "sudo reboot"),
        },
        mark=r"Raspberry Pi|raspberrypi-kernel|BCM27\d\d|BCM28\d\d",
        notes={Need.HEADERS: "a kernel from rpi-update has none; its source does: rpi-source"},
        flavours={"": "v8"}, removes_modules=True,
    ),
    _known(
        "Android", "android", r"-android\d|-gki|-qgki|-perf|-ab\d{5,}", {},
        mark=r"/vendor/lib/modules|/vendor_dlkm/|/data/local/tmp|Android", notes={
            Need.HEADERS: _ANDROID_NOTE, Need.MODULES: _ANDROID_NOTE, Need.KERNEL: _ANDROID_NOTE,
            Need.INITRAMFS: "Android's modules for the first stage are in the vendor_boot partition",
            Need.BOOT_OPTIONS: "Android's command line is in the boot image and the boot loader",
            Need.REINSTALL: "flash the partition it is in again",
        },
    ),
    _known(
        "NixOS", "nixos", r"(?!)", {
            Need.INITRAMFS: ("sudo nixos-rebuild boot",),
            Need.BOOT_OPTIONS: ("sudoedit /etc/nixos/configuration.nix    # boot.kernelParams", "sudo nixos-rebuild boot"),
            Need.REINSTALL: ("sudo nix-store --verify --check-contents --repair",),
            Need.KERNEL: ("sudo nixos-rebuild boot", "sudo reboot"),
        },
        mark=r"/nix/store/|/run/(?:booted|current)-system/|nixos", mark_decides=True, notes={
            Need.HEADERS: _NIX_NOTE, Need.MODULES: _NIX_NOTE, Need.COMPILER: "NixOS: nix-shell '<nixpkgs>' -A linux.dev",
        },
    ),
    _known(
        "Gentoo", "gentoo", r"-gentoo", {
            Need.HEADERS: ("cd /usr/src/linux && sudo make modules_prepare    # eselect kernel list: is it this kernel's?",),
            Need.MODULES: ("cd /usr/src/linux && sudo make menuconfig modules modules_install",),
            Need.KERNEL: ("sudo emerge --config sys-kernel/gentoo-kernel    # or build /usr/src/linux",),
            Need.REINSTALL: ("sudo emerge @module-rebuild",),
            Need.INITRAMFS: ("sudo dracut --force    # or genkernel initramfs",),
            Need.BOOT_OPTIONS: ("sudoedit /etc/default/grub", "sudo grub-mkconfig -o /boot/grub/grub.cfg"),
            Need.COMPILER: ("sudo emerge sys-devel/gcc",),
            Need.DKMS: ("sudo emerge @module-rebuild",),
        },
        mark=r"/var/tmp/portage|emerge|linux-mod-r1|linux-info\.eclass",
    ),
    _known(
        "Fedora's atomic desktops", "silverblue kinoite bazzite bluefin aurora", r"bazzite|\.ublue", {
            Need.HEADERS: ("rpm-ostree install kernel-devel-{release}", "systemctl reboot"),
            Need.MODULES: ("rpm-ostree install kernel-modules-extra-{release}", "systemctl reboot"),
            Need.KERNEL: ("rpm-ostree upgrade", "systemctl reboot"),
            Need.REINSTALL: ("rpm-ostree upgrade", "systemctl reboot"),
            Need.INITRAMFS: ("rpm-ostree initramfs --enable",),
            Need.BOOT_OPTIONS: ("rpm-ostree kargs --editor",),
            Need.COMPILER: ("toolbox create    # and dnf install gcc make in it",),
        },
        mark=r"rpm-ostree|/ostree/|silverblue|Silverblue|Kinoite", mark_decides=True,
        notes={Need.DKMS: "its /usr cannot be written: take a package with the module for this kernel (kmod-…, "
               "akmods through rpm-ostree)"},
    ),
    _known(
        "Oracle Linux (UEK)", "ol", r"\.el\d\w*uek|uek\.", {
            **_DNF, Need.HEADERS: ("sudo dnf install kernel-uek-devel-{release}",),
            Need.MODULES: ("sudo dnf install kernel-uek-modules-extra-{release}",),
            Need.KERNEL: ("sudo dnf install kernel-uek-{release}",),
        },
    ),
    _known(
        "ELRepo", "", r"\.elrepo\.", {
            **_DNF, Need.HEADERS: ("sudo dnf --enablerepo=elrepo-kernel install kernel-ml-devel    # kernel-lt-devel for the long-term one",),
            Need.KERNEL: ("sudo dnf --enablerepo=elrepo-kernel install kernel-ml",),
        },
    ),
    _known("Amazon Linux", "amzn", r"\.amzn\d", {**_DNF, Need.HEADERS: ("sudo dnf install kernel-devel-{release}    # yum on Amazon Linux 2",)}),
    _known(
        "RHEL and its kin", "rhel hat centos rocky almalinux scientific virtuozzo cloudlinux",
        r"\.el\d|\.vz\d|\.lve\.", {
            **_DNF,
            Need.HEADERS: ("sudo dnf install kernel{flavour}-devel-{release}    # yum on RHEL 7",),
        },
    ),
    _known(
        "openEuler", "openeuler", r"\.oe\d|\.an\d|\.tl\d|\.ky\d|\.uelc",
        {**_DNF, Need.HEADERS: ("sudo dnf install kernel-devel-{release}",)},
    ),
    _known("Qubes OS", "qubes", r"\.qubes\.", {**_DNF, Need.HEADERS: ("sudo qubes-dom0-update kernel-devel",)},
           notes={Need.HEADERS: "in a qube the kernel comes from dom0: build for the kernel of dom0, or boot the qube's own"}),
    _known(
        "Fedora", "fedora nobara ultramarine", r"\.fc\d{2}", {
            **_DNF,
            Need.DKMS: ("sudo akmods --force --kernels {release}    # a module of RPM Fusion",
                        "sudo dkms autoinstall -k {release}"),
        },
        mark=r"akmods|kmodgenca",
    ),
    _known(
        "openSUSE and SLE", "suse opensuse sles sled opensuse-tumbleweed opensuse-leap sle-micro",
        r"-(?P<flavour>default|preempt|azure|rt|longterm|kvmsmall|64kb|pae|vanilla|debug)$", {
            Need.HEADERS: ("sudo zypper install kernel-{flavour}-devel",),
            Need.MODULES: ("sudo zypper install kernel-{flavour}-extra kernel-{flavour}-optional",),
            Need.KERNEL: ("sudo zypper install kernel-{flavour}",),
            Need.REINSTALL: ('sudo zypper install --force "$(rpm -qf --qf %{NAME} {path})"',),
            Need.INITRAMFS: ("sudo dracut --force",),
            Need.BOOT_OPTIONS: _GRUB2,
            Need.COMPILER: ("sudo zypper install gcc make kernel-devel libelf-devel",),
            Need.DKMS: ("sudo dkms autoinstall -k {release}",),
        },
        mark=r"zypper|openSUSE|weak-modules2|SUSE Linux", flavours={"": "default"},
        notes={Need.HEADERS: _SAME_VERSION},
    ),
    _known(
        "Alpine Linux", "alpine postmarketos", r"-0-lts$|-\d{1,3}-(?P<flavour>virt|rpi\d?|edge|grsec|vanilla)$|-r\d$", {
            Need.HEADERS: ("sudo apk add linux-{flavour}-dev",),
            Need.KERNEL: ("sudo apk add linux-{flavour}", "sudo reboot"),
            Need.REINSTALL: ('sudo apk fix --reinstall "$(apk info -qW {path})"',),
            Need.INITRAMFS: ("sudo mkinitfs",),
            Need.BOOT_OPTIONS: ("sudoedit /etc/update-extlinux.conf", "sudo update-extlinux"),
            Need.COMPILER: ("sudo apk add build-base",),
            Need.DKMS: ("sudo akms install all",),
        },
        mark=r"\bapk add|alpine|Alpine", flavours={"": "lts", "lts": "lts"}, removes_modules=True,
    ),
    _known(
        "Manjaro", "manjaro", r"-MANJARO|-Manjaro", {
            **_PACMAN, Need.HEADERS: ("sudo pacman -S linux{short}-headers",), Need.KERNEL: ("sudo mhwd-kernel -i linux{short}",),
        }, removes_modules=True,
    ),
    _known("SteamOS", "steamos", r"-valve\d|-neptune", {
        **_PACMAN, Need.HEADERS: ("sudo steamos-readonly disable", "sudo pacman -S linux-neptune-{short}-headers"),
    }, removes_modules=True),
    _known(
        "Arch Linux", "arch archlinux endeavouros garuda artix cachyos arcolinux",
        r"-arch\d|-\d{1,3}-(?:lts|zen|hardened|rt|rt-lts|cachyos[\w-]{0,20})$|-zen\d|-hardened\d|-artix\d|-ARCH$|-arch$|-lts$", {
            **_PACMAN,
        },
        mark=r"pacman|mkinitcpio", removes_modules=True,
        flavours={"": "linux", "lts": "linux-lts", "zen": "linux-zen", "hardened": "linux-hardened",
                  "rt": "linux-rt", "rt-lts": "linux-rt-lts", "cachyos": "linux-cachyos"},
    ),
    _known(
        "Void Linux", "void", r"^\d{1,2}\.\d{1,3}\.\d{1,4}_\d{1,3}$", {
            Need.HEADERS: ("sudo xbps-install linux{version}-headers",),
            Need.KERNEL: ("sudo xbps-install linux{version}", "sudo reboot"),
            Need.REINSTALL: ('sudo xbps-install -f "$(xbps-query -o {path} | cut -d: -f1)"',),
            Need.INITRAMFS: ("sudo dracut --force",), Need.BOOT_OPTIONS: _GRUB,
            Need.COMPILER: ("sudo xbps-install base-devel",),
            Need.DKMS: ("sudo dkms autoinstall -k {release}",),
        }, removes_modules=True,
    ),
    _known(
        "OpenWrt", "openwrt lede", r"(?!)", {Need.MODULES: ("opkg update && opkg install kmod-NAME    # apk add since 25.12",)},
        mark=r"OpenWrt|openwrt|opkg|LEDE", mark_decides=True, notes={
            Need.HEADERS: "OpenWrt: build with the SDK of exactly this release and target",
            Need.KERNEL: "flash the image of one release: its kmod packages fit its kernel alone",
            Need.MODULES: "its kmod packages fit the kernel of their own release alone",
            Need.REINSTALL: "opkg install --force-reinstall the package",
        },
    ),
    _known("Slackware", "slackware", r"(?!)", {
        Need.HEADERS: ("sudo slackpkg install kernel-source",), Need.KERNEL: ("sudo slackpkg install kernel-generic kernel-modules",),
        Need.INITRAMFS: ("sudo geninitrd",), Need.BOOT_OPTIONS: ("sudoedit /etc/lilo.conf", "sudo lilo"),
    }, mark=r"slackpkg|Slackware"),
    _known("Mageia", "mageia openmandriva rosa", r"\.mga\d|-desktop-\d|omv\d", {
        **_DNF, Need.HEADERS: ("sudo dnf install kernel-desktop-devel-{release}    # or urpmi",),
    }),
    _known("ALT Linux", "altlinux", r"-(?P<flavour>std-def|un-def|std-pae|rt|6\.\d{1,2})-alt\d|-alt\d", {
        **_APT, Need.HEADERS: ("sudo apt-get install kernel-headers-modules-{flavour}",),
        Need.KERNEL: ("sudo update-kernel -t {flavour}",), Need.INITRAMFS: ("sudo make-initrd",),
    }, flavours={"": "std-def"}),
    _known("Solus", "solus", r"-\d{1,4}\.(?P<flavour>current|lts)$", {
        Need.HEADERS: ("sudo eopkg install linux-{flavour}-headers",), Need.KERNEL: ("sudo eopkg install linux-{flavour}",),
        Need.INITRAMFS: ("sudo clr-boot-manager update",), Need.COMPILER: ("sudo eopkg install -c system.devel",),
        Need.BOOT_OPTIONS: ("sudoedit /etc/kernel/cmdline", "sudo clr-boot-manager update"),
    }, flavours={"": "current"}),
    _known("Azure Linux", "azurelinux mariner", r"\.(?:cm2|azl3)$", {
        **_DNF, Need.HEADERS: ("sudo tdnf install kernel-devel-{release}",), Need.KERNEL: ("sudo tdnf install kernel-{release}",),
    }),
    _known("Photon OS", "photon", r"\.ph\d", {**_DNF, Need.HEADERS: ("sudo tdnf install linux-devel-{release}",)}),
    _known("Armbian", "armbian", r"-(?P<flavour>(?:current|edge|legacy|vendor)-[\w-]{2,24})$", {
        **_APT, Need.HEADERS: ("sudo apt-get install linux-headers-{flavour}",),
        Need.KERNEL: ("sudo apt-get install linux-image-{flavour}", "sudo reboot"),
        Need.BOOT_OPTIONS: ("sudoedit /boot/armbianEnv.txt    # extraargs=",),
    }, mark=r"[Aa]rmbian", removes_modules=True),
    _known("NVIDIA Jetson (L4T)", "l4t", r"-tegra", {
        **_APT, Need.HEADERS: ("sudo apt-get install nvidia-l4t-kernel-headers",), Need.KERNEL: ("sudo apt-get install --reinstall nvidia-l4t-kernel",),
        Need.BOOT_OPTIONS: ("sudoedit /boot/extlinux/extlinux.conf",),
    }),
    _known("Docker Desktop", "", r"-linuxkit", {}, notes={
        Need.HEADERS: f"{_APPLIANCE}it is Docker Desktop's LinuxKit virtual machine; its headers are in the image docker/for-desktop-kernel",
        Need.MODULES: f"{_APPLIANCE}it is Docker Desktop's LinuxKit virtual machine, and has the modules it has",
        Need.KERNEL: f"{_APPLIANCE}it is Docker Desktop's LinuxKit virtual machine",
    }),
    _known("ChromeOS", "chromeos cos", r"chromeos|-cos-", {},
           mark=r"[Cc]hrome ?OS|Container-Optimized OS|cos-gpu-installer", notes={
        Need.HEADERS: f"{_APPLIANCE}take the toolchain and headers of its build (cos-customizer, or the developer mode)",
        Need.MODULES: f"{_APPLIANCE}it has the modules it has",
    }),
    _known("Flatcar", "flatcar coreos", r"-(?:flatcar|coreos)", {}, notes={
        Need.HEADERS: f"{_APPLIANCE}build in its developer container of the same version",
        Need.MODULES: f"{_APPLIANCE}add a system extension (sysext) with the module",
    }),
    _known("Talos", "talos", r"-talos", {}, notes={
        Need.HEADERS: f"{_APPLIANCE}add a system extension for the release of Talos",
        Need.MODULES: f"{_APPLIANCE}add a system extension for the release of Talos",
    }),
    _known("Unraid", "unraid", r"-[Uu]nraid", {}, notes={
        Need.HEADERS: f"{_APPLIANCE}build in a container with the Unraid kernel's source, or take a plugin",
        Need.MODULES: f"{_APPLIANCE}take a plugin that has the driver for this version",
    }),
    _known("TrueNAS", "truenas", r"\+truenas", {}, notes={
        Need.HEADERS: f"{_APPLIANCE}the headers are on it in /usr/src of the development image",
        Need.MODULES: f"{_APPLIANCE}it has the modules it has",
    }),
    _known("Synology DSM", "dsm", r"(?!)", {}, mark=r"[Ss]ynology|/var/packages/|synobios", mark_decides=True, notes={
        Need.HEADERS: f"{_APPLIANCE}build with the toolkit of the platform and DSM version (pkgscripts-ng)",
        Need.MODULES: f"{_APPLIANCE}take a package (SPK) with the module for this platform and version",
    }),
    _known("XenServer", "xenserver xcp-ng", r"^4\.19\.0\+1$|-xcpng|\.xcpng", {**_DNF, Need.HEADERS: ("yum install kernel-devel    # in the driver development kit",)}),
    _known(
        "Pop!_OS", "pop", r"-76\d{6}\w{0,24}-generic", {**_APT, Need.KERNEL: ("sudo apt-get install linux-system76",),
        Need.INITRAMFS: ("sudo update-initramfs -u",), Need.BOOT_OPTIONS: ('sudo kernelstub --add-options "..."',)},
    ),
    _known(
        "Ubuntu with a mainline kernel", "", r"-0\d{5}(?:rc\d{1,2})?(?:daily\d{8})?-(?:generic|lowlatency)$",
        {**_APT, Need.HEADERS: (), Need.KERNEL: ()}, notes={
            Need.HEADERS: "this is a mainline kernel, which is not in the archive: take linux-headers-*.deb from where the kernel came from (kernel.ubuntu.com/mainline), or boot the distribution's own",
            Need.KERNEL: "this is a mainline kernel: take linux-modules-*.deb from where the kernel came from (kernel.ubuntu.com/mainline)",
            Need.MODULES: "this is a mainline kernel: linux-modules-*.deb has them all",
        },
    ),
    _known(
        "Ubuntu", "ubuntu linuxmint elementary zorin neon tuxedo",
        r"-\d{1,4}-(?:generic|lowlatency|aws|azure|gcp|gke|ibm|oracle|oem|kvm|raspi2?|realtime|nvidia|intel|bluefield|snapdragon|starfive|allwinner|xilinx)[\w-]{0,24}$",
        {**_APT, Need.MODULES: ("sudo apt-get install linux-modules-extra-{release}",),
         Need.KERNEL: ("sudo apt-get install linux-image-{release} linux-modules-{release}",)},
        mark=r"-Ubuntu|[Uu]buntu",
    ),
    _known(
        "Kali Linux", "kali", r"-kali\d|\+kali", {**_APT, Need.MODULES: ("sudo apt-get install linux-image-{release}",)},
    ),
    _known(
        "Debian", "debian devuan mx deepin uos astra pureos",
        r"-(?P<flavour>(?:cloud-|rt-)?(?:amd64|arm64|686|686-pae|armmp|armmp-lpae|powerpc64le|s390x|riscv64|loong64|4kc-malta|5kc-malta|octeon|marvell|rpi|arm64-16k|mips\w{0,20}))(?:-unsigned)?$|\+deb\d|\+bpo|~bpo|-liquorix|-xanmod|-(?:amd64|arm64)-desktop",
        {**_APT, Need.MODULES: ("sudo apt-get install linux-image-{release}    # a cloud kernel has fewer modules: linux-image-amd64",)},
        mark=r"Debian \d|debian",
    ),
)  # fmt: skip
"""Tried in this order: what runs another distribution's user space, as WSL does, before that."""
