"""What the Flex Template launcher runs. The package is installed in the image, so nothing is staged with the job."""

from pipeline.launch import main

main()
