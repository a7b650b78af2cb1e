module lunar

go 1.26
