# Chooses the slot as RAUC means it: the first of BOOT_ORDER that has attempts left. Each start costs one;
# rauc-mark-good.service gives them back. With none left anywhere, both get three again: a terminal never gives up.
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3

setenv slot
for candidate in ${BOOT_ORDER}; do
    if test -n "${slot}"; then
        true
    elif test "${candidate}" = "A" && test ${BOOT_A_LEFT} -gt 0; then
        setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
        setenv slot A
        setenv kernel kernel-a
    elif test "${candidate}" = "B" && test ${BOOT_B_LEFT} -gt 0; then
        setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
        setenv slot B
        setenv kernel kernel-b
    fi
done

if test -z "${slot}"; then
    setenv BOOT_A_LEFT 3
    setenv BOOT_B_LEFT 3
    saveenv
    reset
fi
saveenv

# Nobody answers a question of fsck: the data partition is repaired without asking.
setenv bootargs "console=ttyAMA0,115200 ro panic=5 init_fatal_reboot fsck.repair=yes rauc.slot=${slot}"
setenv fit 0x48000000
part start virtio 0 ${kernel} first
part size virtio 0 ${kernel} blocks
# The configuration is named: U-Boot would look for one that is made for QEMU's device tree, and there is none.
virtio read ${fit} ${first} ${blocks} && bootm ${fit}#conf-1 ${fit}#conf-1 ${fdt_addr}
reset
