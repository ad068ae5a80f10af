"""The example tool: virtual machines on vmnet-helper's network.

    cli       the command line
    session   one run of a VM: helper, seed, VM, address, the end
    network   vmnet-helper and vmnet-run: the four ways to connect a VM
    drivers   QEMU, vfkit, krunkit
    machine   what a VM is and what of it is on disk
    images    distributions' images: catalog, download, checksum, cache
    disk      qemu-img
    seed      cloud-init
    address   which address the VM has, and whether it answers
    ssh       keys and the way in
    process   started programs, and ending them
    report    what the user reads
"""
