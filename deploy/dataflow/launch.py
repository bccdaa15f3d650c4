"""Entry point of the Flex Template launcher. The package is installed in the image, so nothing is staged with the job."""

from pipeline.launch import main

main()
