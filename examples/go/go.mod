module github.com/vmnet-helper/vmnet-helper/examples/go

go 1.19
