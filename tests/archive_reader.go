// Prints what Go's own archive libraries see in an archive: archive_reader (tar|zip) FILE.
//
// One line a member: its kind, its name in hexadecimal, and a file's SHA-256 or a link's target in hexadecimal. V1's
// core was written in Go. Any error ends it with status 1.
package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

func main() {
	var err error
	out := bufio.NewWriter(os.Stdout)
	if os.Args[1] == "zip" {
		err = readZip(os.Args[2], out)
	} else {
		err = readTar(os.Args[2], out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out.Flush()
}

func readTar(name string, out io.Writer) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	archive := tar.NewReader(unpacked)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		kind := fmt.Sprintf("type-%x", header.Typeflag)
		target := ""
		switch header.Typeflag {
		case tar.TypeReg, tar.TypeRegA:
			kind = "file"
		case tar.TypeDir:
			kind = "directory"
		case tar.TypeLink, tar.TypeSymlink:
			kind, target = "link", header.Linkname
		case tar.TypeXGlobalHeader:
			continue
		}
		if err := write(out, kind, header.Name, target, archive); err != nil {
			return err
		}
	}
}

func readZip(name string, out io.Writer) error {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	for _, entry := range archive.File {
		kind := fmt.Sprintf("mode-%v", entry.Mode())
		switch {
		case entry.Mode().IsDir():
			kind = "directory"
		case entry.Mode().IsRegular():
			kind = "file"
		case entry.Mode()&os.ModeSymlink != 0:
			kind = "link"
		}
		data, err := entry.Open()
		if err != nil {
			return err
		}
		target := ""
		if kind == "link" {
			text, err := io.ReadAll(data)
			if err != nil {
				return err
			}
			target = string(text)
		}
		if err := write(out, kind, entry.Name, target, data); err != nil {
			return err
		}
		data.Close()
	}
	return nil
}

func write(out io.Writer, kind, name, target string, data io.Reader) error {
	value := []byte(target)
	sum := sha256.New()
	if _, err := io.Copy(sum, data); err != nil {
		return err
	}
	if kind == "file" {
		value = sum.Sum(nil)
	}
	_, err := fmt.Fprintf(out, "%s %x %x\n", kind, name, value)
	return err
}
