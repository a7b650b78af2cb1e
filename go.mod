module lunar

go 1.26

require (
	golang.org/x/sys v0.41.0
	pgregory.net/rapid v1.3.0
)
