package buf

import (
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageBytes is the alignment of everything handed out here. It is the direct
// I/O alignment of every medium we serve and the smallest page of every
// processor we run on.
const pageBytes = 4096

// Alloc maps n bytes, n > 0, of zeroed, page-aligned memory outside the Go
// heap. Pages are taken when first touched and nothing is reserved for them.
func Alloc(n int) ([]byte, error) {
	if n <= 0 {
		return nil, fmt.Errorf("buf: map %d bytes: not a size", n)
	}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("buf: map %d bytes: %w", n, err)
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// Free unmaps what Alloc returned; b must be the whole slice. Nothing, in
// particular not the kernel, may use the memory any more.
func Free(b []byte) error {
	return unmap(unsafe.Pointer(unsafe.SliceData(b)), cap(b))
}

// AllocSlice maps a slab of n zeroed values of T outside the Go heap. T must
// hold no pointers, because the garbage collector does not look there; a T that
// does is a mistake in the program and panics.
func AllocSlice[T any](n int) ([]T, error) {
	element := reflect.TypeFor[T]()
	if holdsPointers(element) {
		panic("buf: slab of " + element.String() + ", which holds pointers")
	}
	if element.Size() == 0 || n <= 0 || uint64(n) > math.MaxInt64/uint64(element.Size()) {
		return nil, fmt.Errorf("buf: slab of %d × %s: not a size", n, element)
	}
	b, err := Alloc(n * int(element.Size()))
	if err != nil {
		return nil, fmt.Errorf("buf: slab of %d × %s: %w", n, element, err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}

// FreeSlice unmaps what AllocSlice returned; s must be the whole slice.
func FreeSlice[T any](s []T) error {
	return unmap(unsafe.Pointer(unsafe.SliceData(s)), cap(s)*int(reflect.TypeFor[T]().Size()))
}

func unmap(p unsafe.Pointer, n int) error {
	if n == 0 || uintptr(p)%pageBytes != 0 {
		return fmt.Errorf("buf: unmap %d bytes: not the start of a mapping", n)
	}
	if err := unix.MunmapPtr(p, uintptr(n)); err != nil {
		return fmt.Errorf("buf: unmap %d bytes: %w", n, err)
	}
	return nil
}

// holdsPointers reports whether a value of t refers to Go memory.
func holdsPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && holdsPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return false
	}
	return true
}
