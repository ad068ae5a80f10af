# The layout of docs/install.md: PREFIX/bin and PREFIX/share/doc/vmnet-helper.
install(TARGETS vmnet-helper vmnet-run RUNTIME DESTINATION bin)
install(FILES LICENSE README.md DESTINATION share/doc/vmnet-helper OPTIONAL)
