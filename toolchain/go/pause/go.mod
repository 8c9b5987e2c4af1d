module k8ssec.toolchain/pause

go 1.26.0
