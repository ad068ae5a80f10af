"""The parts of bench/vms.

    runs      the transfers between VMs that were started, or run already
    machines  the VMs, and what processors they use
    files     benchmark files and plot files (YAML)
    folders   the folder of results: iperf3's answers, rows, tables
    results   rows, their arithmetic and their tables
    plots     bars (matplotlib)
"""
