module lunar

go 1.26

require (
	github.com/iceber/iouring-go v0.0.0-20230403020409-002cfd2e2a90
	golang.org/x/sys v0.41.0
	pgregory.net/rapid v1.3.0
)
