//go:build !amd64

package ram

func store(dst, src []byte) { copy(dst, src) }
