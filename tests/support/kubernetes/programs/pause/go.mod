module vigil.test/pause

go 1.24
